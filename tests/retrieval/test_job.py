"""A retrieval training: what can be watched, resumed or refused."""

from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from crosstower.errors import DataError, RecipeError
from crosstower.fitting.fit import fit
from crosstower.training.progress import Watcher
from crosstower.training.trainer import TrainingInterruptedError

from ..fixtures.films import recipe, watches


@pytest.mark.slow
@pytest.mark.parametrize("negatives", [{}, {"uniform": 8, "hard": 1, "hard_pool": 9}])
def test_a_resumed_training_ends_where_an_undisturbed_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, negatives: dict[str, int]
) -> None:
    one = recipe(
        tmp_path,
        retrieval={"baselines": ["popularity"], "negatives": negatives},
        training={"epochs": 2},
    )
    whole = fit(one, out=tmp_path / "whole", quiet=True)
    steps, real = 0, Watcher.advance

    def stop(self: Watcher, *, rows: int, loss: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 40:
            import signal

            signal.raise_signal(signal.SIGINT)
        real(self, rows=rows, loss=loss)

    monkeypatch.setattr(Watcher, "advance", stop)
    with pytest.raises(TrainingInterruptedError, match="--resume"):
        fit(one, out=tmp_path / "cut", quiet=True)
    monkeypatch.setattr(Watcher, "advance", real)
    resumed = fit(one, out=tmp_path / "cut", quiet=True, resume=True)
    assert resumed.metrics["retrieval"] == whole.metrics["retrieval"]
    folders = [r.model_folder("two_tower", 0) / "last.safetensors" for r in (whole, resumed)]
    left, right = (load_file(f) for f in folders)
    assert all(torch.equal(left[k], right[k]) for k in left)


def test_duplicate_pairs_are_kept_and_told(tmp_path: Path) -> None:
    one = recipe(tmp_path, retrieval={"baselines": ["popularity"]}, training={"epochs": 1})
    facts = fit(one, out=tmp_path / "run", quiet=True).info.facts
    assert any("repeat a pair; they count" in note for note in facts.notes)


def test_frozen_text_vectors_train_and_come_back(tmp_path: Path) -> None:
    columns = {
        "had": {"kind": "sequence", "table": "film", "max_len": 5},
        "film": "categorical",
        "title": {"kind": "text", "encoder": "wordllama"},
    }
    one = recipe(
        tmp_path,
        schema={"columns": columns},
        model={"item": ["film", "title"]},
        retrieval={"baselines": ["popularity"]},
        training={"epochs": 1},
    )
    run = fit(one, out=tmp_path / "run", quiet=True)
    assert run.encoder.layout.numbers[:1] == ("title[0]",)
    assert run.model() is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"monitor": "retrieval.auc@10"}}, "retrieval.METRIC@K"),
        ({"model": {"name": "dcn_v2"}}, "dcn_v2 does not retrieve"),
        ({"retrieval": {"baselines": ["bm25"]}}, "bm25 needs text in the query"),
        (
            {"retrieval": {"objective": "contrastive", "negatives": {"uniform": 9}},
             "model": {"normalise": False}},
            "contrastive compares cosines",
        ),
    ],
)  # fmt: skip
def test_recipes_that_cannot_be_trained(tmp_path: Path, changes: dict, words: str) -> None:
    one = recipe(tmp_path, **changes)
    with pytest.raises(RecipeError, match=words):
        fit(one, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_an_item_that_the_table_lacks_stops_the_training(tmp_path: Path) -> None:
    one = recipe(tmp_path)
    rows = watches(400).with_columns(film=pl.col("film").str.replace("f01", "f99"))
    with pytest.raises(DataError, match=r"film 'f99' is not in the item table"):
        fit(one, data=rows, out=tmp_path / "run", quiet=True)
