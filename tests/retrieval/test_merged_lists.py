"""Merged lists of the test queries are those of single calls."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.retrieval.evaluate import evaluate_retrieval_on
from crosstower.retrieval.merged_lists import merges_sources, read_merged_lists
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import read_queries

from ..fixtures.live_films import LiveFilms
from ..fixtures.sourced_films import SourcedFilms, watched

K = 10


def last_rows() -> pl.DataFrame:
    """The test row of each user, with the films before it, oldest first."""
    rows = watched().sort("user", "time", maintain_order=True)
    earlier = pl.col("film").implode().list.slice(0, pl.len() - 1).alias("earlier")
    return rows.group_by("user", maintain_order=True).agg(
        pl.col("film", "device", "country").last(), earlier
    )


def test_a_list_is_that_of_a_call_with_the_same_history(sourced_films: SourcedFilms) -> None:
    run = sourced_films.retrieval
    (lists,) = read_merged_lists(run)
    retriever, rows = Retriever.open(run), {row["user"]: row for row in last_rows().to_dicts()}
    users = pl.read_parquet(run.folder / "retrieval" / "queries.parquet")["id"].to_list()
    assert len(users) == len(lists) == len(rows)
    for user, places in zip(users, lists, strict=True):
        row = rows[user]
        query = {name: row[name] for name in ("device", "country")}
        found = retriever.recommend(user, k=K, query=query, history=row["earlier"])
        shown = retriever.catalogue.ids.gather(places[places >= 0][:K])
        assert shown.to_list() == found["item_id"].to_list()


def test_the_report_compares_them_with_the_model(sourced_films: SourcedFilms) -> None:
    run = sourced_films.retrieval
    (lists,), queries = read_merged_lists(run), read_queries(run)
    relevant = dict(zip(*queries.relevant, strict=True))
    ranks = [lists[q].tolist().index(i) for q, i in relevant.items() if i in lists[q][:K]]
    found = run.metrics["retrieval"]["merged_list"]
    assert found[f"recall@{K}"]["mean"] == pytest.approx(len(ranks) / len(relevant))
    gains = [1 / math.log2(rank + 2) for rank in ranks]
    assert found[f"ndcg@{K}"]["mean"] == pytest.approx(np.sum(gains) / len(relevant))
    gap = found[f"ndcg@{K}"]["mean"] - run.metrics["retrieval"]["two_tower"][f"ndcg@{K}"]["mean"]
    verdict = run.metrics["verdicts"]["retrieval"][0]
    assert verdict.startswith("merged_list ")
    assert f"two_tower: NDCG@{K} {gap:+.4f} (" in verdict
    assert "merged_list" in run.report.read_text()


def test_other_rows_have_them_as_well(sourced_films: SourcedFilms, tmp_path: Path) -> None:
    report, _ = evaluate_retrieval_on(
        sourced_films.retrieval, watched().head(30), tmp_path / "page"
    )
    assert [model.name for model in report.models][:2] == ["two_tower", "merged_list"]


def test_a_run_of_the_model_alone_has_none(live_films: LiveFilms) -> None:
    assert not merges_sources(live_films.retrieval.recipe)
    assert read_merged_lists(live_films.retrieval) == []
    assert "merged_list" not in live_films.retrieval.metrics["retrieval"]
