"""Embeddings that start from given vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import crosstower as ct
from crosstower.errors import DataError, RecipeError
from crosstower.fitting.pretrained import GivenVectors, _write
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.table_rows import Share, building
from crosstower.training.run import Run

from ..conftest import rows

GENRES = ["action", "comedy", "drama", "war"]
VECTORS = np.arange(16, dtype=np.float32).reshape(4, 4) / 8 - 1


def recipe_of(path: Path, **given: Any) -> ct.Recipe:
    columns = {"user_id": ct.Categorical(), "genre": ct.Categorical(dim=4)}
    return ct.Recipe(
        schema=ct.Schema(columns=columns, tasks={"click": ct.Binary()}),
        model={"name": "mlp", "embedding_dim": 4, "hidden": [8]},
        training=ct.Training(epochs=2, pretrained={"genre": {"path": str(path), **given}}),  # type: ignore[dict-item]
        evaluation=ct.Evaluation(baselines=["logistic_regression"]),
    )


def write(path: Path, ids: list[str] = GENRES, vectors: Any = VECTORS) -> Path:
    pl.DataFrame({"genre": ids, "vector": list(vectors)}).write_parquet(path)
    return path


def genres_of(run: Run) -> np.ndarray:
    """Return the trained embedding of each genre."""
    model: Any = run.model()
    codes = torch.zeros(4, 2, dtype=torch.int32)
    codes[:, 1] = torch.from_numpy(run.encoder.tables["genre"].encode(pl.Series(GENRES)).copy())
    with torch.no_grad():
        return model.input.embed.field("genre", codes, {}).numpy()


def test_a_frozen_embedding_stays_and_the_rest_learns(tmp_path: Path) -> None:
    path = write(tmp_path / "v.parquet", [*GENRES, "unknown"], [*VECTORS, VECTORS[0]])
    run = ct.fit(recipe_of(path, freeze=True), train=rows(), quiet=True)
    assert np.array_equal(genres_of(run), VECTORS)
    assert run.history("mlp")["click.auc"].max() > 0.6  # type: ignore[operator]
    opened = Run.open(run.folder)
    assert opened.recipe.training.pretrained["genre"].path == str(path)
    later = {"training.pretrained": {"genre": {"path": str(path)}}}
    warm = ct.fit(recipe_of(path), train=rows(), warm_start=run, overrides=later, quiet=True)
    assert not np.array_equal(genres_of(warm), VECTORS)  # learns on from the same rows
    assert np.abs(genres_of(warm) - VECTORS).max() < 0.3


def test_values_without_a_vector_start_at_random(tmp_path: Path) -> None:
    path = write(tmp_path / "v.parquet", GENRES[:2], VECTORS[:2])
    slow = {"training.embedding_learning_rate": 1e-9, "training.epochs": 1}
    run = ct.fit(recipe_of(path), train=rows(), overrides=slow, quiet=True)
    found = genres_of(run)
    assert found[:2] == pytest.approx(VECTORS[:2], abs=1e-5)
    assert 0 < np.abs(found[2:]).max() < 0.3


@pytest.mark.parametrize(
    ("ids", "vectors", "freeze", "error", "words"),
    [
        (GENRES[:3], VECTORS[:3], True, DataError, "1 of 4 values of column 'genre'"),
        (["a", "b"], VECTORS[:2], False, DataError, "no id is one of the 4 values"),
        (["war", "war"], VECTORS[:2], False, DataError, "id 'war' occurs twice"),
        (
            GENRES,
            VECTORS[:, :3],
            False,
            RecipeError,
            "3 numbers, but the embedding has 4; set",
        ),
        (GENRES, VECTORS * np.nan, False, DataError, "expected lists of finite numbers"),
        (GENRES, [[1.0], [1.0, 2.0], [1.0], [1.0]], False, DataError, "of the same length"),
    ],
)
def test_wrong_vectors_are_named(
    tmp_path: Path, ids: list[str], vectors: Any, *, freeze: bool, error: Any, words: str
) -> None:
    path, run = write(tmp_path / "v.parquet", ids, vectors), tmp_path / "run"
    with pytest.raises(error, match=words):
        ct.fit(recipe_of(path, freeze=freeze), train=rows(), out=run, quiet=True)
    assert run.exists() == ("the embedding has" in words)  # the width is known to the model alone


def test_wrong_columns_and_files_are_named(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path / "none.parquet")
    with pytest.raises(DataError, match=r"none\.parquet: no such file"):
        ct.fit(recipe, train=rows(), quiet=True)
    other = {"training.pretrained": {"genr": "v.parquet"}}
    with pytest.raises(RecipeError, match=r"training\.pretrained\.genr: .*did you mean 'genre'"):
        ct.fit(recipe, train=rows(), overrides=other, quiet=True)


def test_a_process_writes_the_rows_that_it_holds() -> None:
    field = ct.CodeField("genre", size=7, table="genre")
    found = GivenVectors("genre", np.array([3, 4, 5, 6]), VECTORS)
    parts = []
    for rank in (0, 1):
        with building(Share(rank=rank, size=2)):
            store = EmbeddingStore([field], [], dim=4)
        assert _write(store, found, Share(rank=rank, size=2))
        parts.append(store.tables["4"].detach())
    assert torch.equal(torch.cat(parts)[3:], torch.from_numpy(VECTORS))
