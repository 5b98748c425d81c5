"""Training a retrieval recipe: what the run folder holds, resuming, objectives, bad input."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.errors import RunError
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.yaml_reader import read_yaml
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run

from ..fixtures.films import GENRES, recipe, watches


def test_the_model_beats_popularity_and_learns_from_histories(film_run: Run) -> None:
    metrics = film_run.metrics["retrieval"]
    assert list(metrics) == ["two_tower", "ease", "item_knn", "popularity", "transition_graph"]
    assert metrics["two_tower"]["recall@10"]["mean"] > 0.3
    assert (
        metrics["two_tower"]["recall@10"]["mean"] > metrics["popularity"]["recall@10"]["mean"] + 0.1
    )
    assert metrics["two_tower"]["recall@10"]["sd"] is not None
    assert metrics["popularity"]["recall@10"]["sd"] is None


def test_a_search_recipe_is_measured_beside_bm25(search_run: Run) -> None:
    metrics = search_run.metrics["retrieval"]
    assert list(metrics) == ["two_tower", "bm25", "popularity"]
    found = metrics["two_tower"]["recall@20"]["mean"]
    assert found > metrics["popularity"]["recall@20"]["mean"] + 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    "retrieval",
    [
        {"objective": "full_softmax"},
        {
            # The negatives are more than the films.
            "objective": {"name": "contrastive", "margin": 0.3, "negative_weight": 1},
            "negatives": {"uniform": 40},
        },
        {"negatives": {"uniform": 32}},
        {"negatives": {"in_batch": False, "uniform": 64}},
        {"negatives": {"hard": 2, "hard_pool": 20}},
        {"log_q": False, "mask_accidental": False},
    ],
    ids=lambda r: str(r.get("objective") or r.get("negatives") or "uncorrected"),
)
def test_every_objective_learns(tmp_path: Path, retrieval: dict[str, Any]) -> None:
    one = recipe(tmp_path, retrieval={"baselines": ["popularity"], **retrieval})
    metrics = fit(one, out=tmp_path / "run", quiet=True).metrics["retrieval"]
    known = metrics["popularity"]["recall@10"]["mean"]
    assert metrics["two_tower"]["recall@10"]["mean"] > known + 0.08


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "gru", "transformer", "bsarec", "hstu", "times"])
def test_every_pooling_learns(tmp_path: Path, pooling: str) -> None:
    read = {"pooling": "hstu", "times": True} if pooling == "times" else {"pooling": pooling}
    columns = {
        "had": {"kind": "sequence", "table": "film", "max_len": 5, **read},
        "film": "categorical",
        "genre": "categorical",
    }
    one = recipe(
        tmp_path,
        schema={"columns": columns},
        data={"times": {"time": "s"}},
        retrieval={"baselines": ["popularity"]},
    )
    metrics = fit(one, out=tmp_path / "run", quiet=True).metrics["retrieval"]
    known = metrics["popularity"]["recall@10"]["mean"]
    assert metrics["two_tower"]["recall@10"]["mean"] > known + 0.08


def test_users_without_a_history_are_served_and_counted(tmp_path: Path) -> None:
    one = recipe(tmp_path, retrieval={"baselines": ["popularity"]}, training={"epochs": 1})
    rows = watches(600)
    late = rows.head(5).with_columns(user=pl.int_range(900, 905))
    run = fit(one, data=pl.concat([rows, late]), out=tmp_path / "run", quiet=True)
    assert any("users without a history" in note for note in run.info.facts.notes)


def test_a_run_that_retrieves_scores_no_rows(film_run: Run) -> None:
    with pytest.raises(RunError, match="recommend, search or similar"):
        film_run.predict(watches(5))


def test_a_history_may_have_a_table_of_its_own(tmp_path: Path) -> None:
    columns = {
        "had": {"kind": "sequence", "max_len": 5, "min_count": 2},
        "genre": "categorical",
    }
    one = recipe(
        tmp_path,
        schema={"columns": columns},
        model={"item": ["genre"]},
        retrieval={"baselines": ["popularity"]},
        training={"epochs": 1},
    )
    run = fit(one, out=tmp_path / "run", quiet=True)
    assert run.encoder.tables["had"].size > 50
    assert run.encoder.states["had"].length == 5


def test_a_history_may_come_with_the_rows(tmp_path: Path) -> None:
    rows = watches(1500).with_columns(
        before=pl.col("film").shift(1).over("user", order_by="time").fill_null("f00")
    )
    rows = rows.with_columns(before=pl.concat_list("before"))
    columns = {
        "before": {"kind": "sequence", "table": "film"},
        "film": "categorical",
        "genre": "categorical",
    }
    plain = read_yaml(recipe(tmp_path).to_yaml())
    plain["schema"] = {"columns": columns}
    del plain["retrieval"]["history"]
    plain["retrieval"]["baselines"] = ["popularity"]
    run = fit(Recipe.model_validate(plain), data=rows, out=tmp_path / "run", quiet=True)
    metrics = run.metrics["retrieval"]
    known = metrics["popularity"]["recall@10"]["mean"]
    assert metrics["two_tower"]["recall@10"]["mean"] > known


def test_a_cross_of_item_columns_is_part_of_the_item_tower(tmp_path: Path) -> None:
    cross = {"kind": "cross", "columns": ["film", "genre"], "hash_buckets": 5_000, "dim": 4}
    columns = {"film": "categorical", "genre": "categorical", "both": cross}
    history = {"had": {"kind": "sequence", "table": "film", "max_len": 5}}
    one = recipe(
        tmp_path,
        schema={"columns": columns | history},
        model={"item": ["film", "genre", "both"]},
        retrieval={"baselines": ["popularity"]},
    )
    metrics = fit(one, out=tmp_path / "run", quiet=True).metrics["retrieval"]
    known = metrics["popularity"]["recall@10"]["mean"]
    assert metrics["two_tower"]["recall@10"]["mean"] > known + 0.08
    found = Retriever.open(tmp_path / "run").recommend(3, k=8)
    assert (found["genre"] == GENRES[0]).mean() >= 0.75
