"""A retrieval run evaluated on other rows."""

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from crosstower.errors import DataError
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.evaluate import evaluate_retrieval_on
from crosstower.retrieval.results import metrics_of, stored_report
from crosstower.training.run import Run

from ..fixtures.films import recipe, watches


def test_a_test_file_is_evaluated(film_run: Run, tmp_path: Path) -> None:
    watches(300, seed=5).write_parquet(tmp_path / "later.parquet")
    report, page = evaluate_retrieval_on(
        film_run, tmp_path / "later.parquet", tmp_path / "page.html"
    )
    metrics = metrics_of(report)
    assert list(metrics) == ["two_tower", "popularity", "item_knn", "transition_graph", "ease"]
    assert metrics["two_tower"]["recall@10"]["mean"] > metrics["popularity"]["recall@10"]["mean"]
    assert "these rows" in page.read_text()
    unknown = watches(10).with_columns(film=pl.lit("f99"))
    with pytest.raises(DataError, match="film 'f99' is not in the item table: 10 of 10 rows"):
        evaluate_retrieval_on(film_run, unknown, tmp_path / "page.html")


def test_a_query_tower_may_read_a_column_named_user(tmp_path: Path) -> None:
    plain = yaml.safe_load(recipe(tmp_path).to_yaml())
    plain["schema"] = {"columns": {"user": "categorical", "film": "categorical"}}
    plain["model"] |= {"item": ["film"]}
    plain["retrieval"] |= {"history": {}, "baselines": ["popularity"]}
    plain["training"] |= {"epochs": 1}
    run = fit(Recipe.model_validate(plain), out=tmp_path / "run", quiet=True)
    report, _ = evaluate_retrieval_on(run, watches(300, seed=5), tmp_path / "page.html")
    assert "item_knn" in metrics_of(report)


def test_a_test_file_of_searches_is_evaluated(search_run: Run, tmp_path: Path) -> None:
    report, _ = evaluate_retrieval_on(search_run, watches(100, seed=5), tmp_path / "page.html")
    metrics = metrics_of(report)
    assert list(metrics) == ["two_tower", "popularity"]
    assert json.dumps(metrics)
    assert report.queries == 100
    assert stored_report(search_run).queries != 100
