"""Queries about which nothing is known get the same lists in evaluations and from a server."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.evaluation_queries import EvaluationQueries
from crosstower.retrieval.data.histories import Histories
from crosstower.retrieval.evaluate import evaluate_retrieval_on
from crosstower.retrieval.evaluation_fallback import with_popular
from crosstower.retrieval.popular_items import PopularOrder
from crosstower.retrieval.retriever import Retriever

NEW = 1_000  # the first user that the training rows lack
BASELINES = ["popularity", "item_knn", "transition_graph", "ease"]


def views(rows: int, users: range, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    item = np.minimum(random.zipf(1.4, rows), 40) - 1
    frame = pl.DataFrame({"user": random.choice(users, rows), "item": item, "time": range(rows)})
    country = pl.when(pl.col("user") % 2 == 0).then(pl.lit("FR")).otherwise(pl.lit("JP"))
    return frame.with_columns(country=country).unique(["user", "item"], maintain_order=True)


def recipe(**retrieval: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "cold",
            "schema": {
                "columns": {
                    "item": "categorical",
                    "history": {"kind": "sequence", "table": "item"},
                }
            },
            "model": {"name": "two_tower", "item": ["item"], "dim": 4, "embedding_dim": 4},
            "retrieval": {
                "item": "item",
                "user": "user",
                "history": "history",
                "time": "time",
                "k": [5],
                "baselines": BASELINES,
                **retrieval,
            },
            "sources": {"two_tower": 20} if retrieval else None,
            "training": {"epochs": 1},
        }
    )


@pytest.mark.filterwarnings("ignore:user .* is unknown")
@pytest.mark.parametrize("segment", [None, "country"])
def test_new_users_get_the_list_that_is_served(segment: str | None, tmp_path: Path) -> None:
    # The popular items of one country differ from those of both.
    train = views(900, range(80), 1).with_columns(
        item=pl.when(pl.col("country") == "JP").then(39 - pl.col("item")).otherwise("item")
    )
    splits = {
        "train": train,
        "valid": views(80, range(80), 2),
        "test": pl.concat([views(60, range(NEW, NEW + 9), 3), views(60, range(20), 4)]),
    }
    given = {} if segment is None else {"segment": segment}
    run = fit(recipe(**given), out=tmp_path / "run", quiet=True, **splits)
    retriever = Retriever.open(run)
    queries = pl.read_parquet(run.folder / "retrieval" / "queries.parquet")
    lists = {
        name: pl.read_parquet(run.folder / "retrieval" / "baselines" / f"{name}.parquet")["shown"]
        for name in BASELINES
    }
    (shown,) = run.folder.glob("models/two_tower/seed-0/test.parquet")
    lists["two_tower"] = pl.read_parquet(shown)["shown"]
    cold = queries["cold"].to_list()
    assert 0 < sum(cold) < len(cold)
    for place in np.flatnonzero(cold).tolist():
        user = int(queries["id"][place])
        query = {} if segment is None else {"country": "FR" if user % 2 == 0 else "JP"}
        # Of a user who is new: the catalogue of users has those of the test rows.
        served = retriever.recommend(user + NEW, k=5, query=query)["item_id"].to_list()
        found = retriever.catalogue.ids.gather(lists["two_tower"][place]).to_list()
        assert found == served
        if segment is None:
            assert all(lists[name][place].to_list() == lists["two_tower"][place].to_list()
                       for name in BASELINES)  # fmt: skip
    known = [place for place, new in enumerate(cold) if not new]
    of_model, of_popularity = (
        [lists[name][place].to_list() for place in known] for name in ("two_tower", "popularity")
    )
    assert of_model != of_popularity
    new = splits["test"].filter(pl.col("user") >= NEW).with_columns(pl.col("user") + NEW)
    report, _ = evaluate_retrieval_on(run, new)
    values = {one.name: one.metrics["ndcg@5"].mean for one in report.models}
    expected = values["popularity"]
    if segment is None:
        assert values == dict.fromkeys(values, pytest.approx(expected))


def test_popular_items_without_the_seen_ones_by_a_loop() -> None:
    random = np.random.default_rng(0)
    counts = random.integers(0, 9, 12)
    seen = np.array([(q, i) for q in range(6) for i in random.choice(12, q * 2, replace=False)])
    nothing = np.empty(0, np.int64)
    queries = EvaluationQueries(
        pl.Series(range(6)),
        np.arange(6),
        np.arange(6),
        (nothing, nothing),
        (seen[:, 0], seen[:, 1]),
        Histories(nothing, np.zeros(7, np.int64)),
    )
    shown = np.full((6, 4), 7)
    chosen = np.array([True, False, True, True, True, True])
    found = with_popular(shown, chosen, queries, PopularOrder(counts))
    by_count = sorted(range(12), key=lambda i: -counts[i])
    for query in range(6):
        left = [i for i in by_count if i not in seen[seen[:, 0] == query, 1]][:4]
        expected = [*left, *[-1] * (4 - len(left))] if chosen[query] else [7] * 4
        assert found[query].tolist() == expected
