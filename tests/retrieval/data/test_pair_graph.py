"""Retrievers whose vectors are passed through the graph of users and items."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from crosstower.data.sources.source import open_source
from crosstower.errors import RecipeError
from crosstower.fitting.fit import fit
from crosstower.models.two_tower import TwoTower
from crosstower.nn.world import World
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.pair_graph import check_graph
from crosstower.retrieval.data.retrieval_data import RetrievalData, prepare_retrieval
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run

from ...fixtures.films import recipe, watches

USERS = {"user": "categorical", "film": "categorical"}
BAGS = {"had": {"kind": "bag", "table": "film"}, "film": "categorical"}


def graph_recipe(folder: Path, columns: dict[str, Any], **changes: Any) -> Recipe:
    plain = recipe(folder).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    plain["data"]["split"] = {"kind": "leave_last_out", "group": "user", "time": "time"}
    plain["schema"] = {"columns": columns}
    plain["model"] |= {"item": ["film"], "graph_layers": 2, "normalise": False}
    plain["retrieval"] |= {"baselines": ["popularity"], "objective": "full_softmax"}
    plain["retrieval"]["history"] = "had" if "had" in columns else {}
    plain["training"]["epochs"] = 1
    watches(1500).write_parquet(folder / "rows.parquet")
    for section, values in changes.items():
        plain[section] = {k: v for k, v in {**plain[section], **values}.items() if v is not None}
    return Recipe.model_validate(plain)


def expected(run: Run, data: RetrievalData, *, user_rows: bool) -> np.ndarray:
    """Oracle: the mean of I, Â and Â² times the table, in dense float64."""
    model = run.model()
    assert isinstance(model, TwoTower)
    table = model.embed.tables["8"].detach().double().numpy()
    users, items = data.train.pairs(np.arange(len(data.rows.users)))
    films = run.encoder.tables["film"].encode(data.items.ids)[items]
    offset = {part.table: part.start for part in model.embed.code_rows()["tables.8"]}
    size = len(table) + (0 if user_rows else len(data.rows.users))
    owner = len(table) + users
    if user_rows:
        owner = run.encoder.tables["user"].encode(data.rows.users)[users] + offset["user"]
    graph = np.zeros((size, size))
    graph[owner, films + offset["film"]] = graph[films + offset["film"], owner] = 1.0
    root = 1.0 / np.sqrt(np.maximum(graph.sum(1), 1.0))
    scaled, whole = root[:, None] * graph * root, np.zeros((size, table.shape[1]))
    whole[: len(table)] = table
    return ((whole + scaled @ whole + scaled @ scaled @ whole) / 3)[: len(table)]


@pytest.mark.parametrize("columns", [USERS, BAGS])
def test_a_run_stores_the_vectors_of_the_paper_and_serves_them(
    tmp_path: Path, columns: dict[str, Any]
) -> None:
    one = graph_recipe(tmp_path, columns)
    run = fit(one, out=tmp_path / "run", quiet=True)
    data = prepare_retrieval(one, open_source(tmp_path / "rows.parquet"), encoder=run.encoder)
    model = run.model()
    assert isinstance(model, TwoTower)
    assert model.graph is not None
    rows = expected(run, data, user_rows="user" in columns)
    torch.testing.assert_close(
        model.graph.vectors.double(), torch.from_numpy(rows), atol=1e-5, rtol=1e-4
    )
    found = run.metrics["retrieval"]
    assert found["two_tower"]["recall@10"]["mean"] > found["popularity"]["recall@10"]["mean"]
    listed = Retriever.open(run).recommend(user=7, k=5)
    assert len(listed) == 5


def test_a_warm_start_passes_the_vectors_through_its_own_graph(tmp_path: Path) -> None:
    before = fit(graph_recipe(tmp_path, USERS), out=tmp_path / "before", quiet=True)
    one = graph_recipe(tmp_path, USERS)
    later = watches(1600).with_columns(pl.col("user") + 5)  # five users go, five come
    later.write_parquet(tmp_path / "rows.parquet")
    run = fit(one, out=tmp_path / "after", quiet=True, warm_start=before)
    data = prepare_retrieval(one, open_source(tmp_path / "rows.parquet"), encoder=run.encoder)
    model = run.model()
    assert isinstance(model, TwoTower)
    assert model.graph is not None
    rows = expected(run, data, user_rows=True)
    torch.testing.assert_close(
        model.graph.vectors.double(), torch.from_numpy(rows), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("changes", "columns", "words"),
    [
        ({}, USERS | {"device": "categorical"}, "a tower reads the column 'device'"),
        (
            {"user": None, "time": None, "history": None},
            {"device": "categorical", "film": "categorical"},
            "set retrieval.user",
        ),
    ],
)
def test_what_has_no_graph_is_refused(
    tmp_path: Path, changes: dict[str, Any], columns: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        fit(graph_recipe(tmp_path, columns, retrieval=changes), out=tmp_path / "run", quiet=True)


def test_several_processes_are_refused(tmp_path: Path) -> None:
    class Two(World):
        size = 2

    with pytest.raises(RecipeError, match="2 processes were started"):
        check_graph(graph_recipe(tmp_path, USERS), Two())
