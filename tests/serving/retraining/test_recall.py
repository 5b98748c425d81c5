"""Recall of two retrievers, against the lists that each recommends for itself."""

import numpy as np
import polars as pl
import pytest

from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle import Bundle
from crosstower.serving.retraining.newest_rows import newest_rows
from crosstower.serving.retraining.recall import recall_measures

from ...fixtures.live_films import UNTIL, LiveFilms, rows


def by_hand(retriever: Retriever, test: pl.DataFrame, past: pl.DataFrame, k: int) -> float:
    """Mean share of each user's films within the first k of the retriever's own list.

    The query is that of the user's first row; films of the history count as missed.
    """
    values = []
    for (user,), part in test.group_by("user", maintain_order=True):
        history = past.filter(pl.col("user") == user).sort("time")["film"].to_list()
        wanted, query = set(part["film"]), {"device": part.sort("time")["device"][0]}
        shown = retriever.recommend(user, k=k, query=query, history=history)["item_id"]
        values.append(len(wanted & set(shown)) / len(wanted))
    return float(np.mean(values))


@pytest.fixture(scope="module")
def parts() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Earlier rows of half of the films per user, and newer rows of others."""
    some = rows(400, seed=3)
    past = some.filter(pl.int_range(pl.len()).over("user") < 3)
    newer = some.join(past, on=["user", "time"], how="anti")
    return past, newer.with_columns(pl.col("time") + 1_000_000)


def test_recall_is_that_of_the_lists_of_each_retriever(
    live_films: LiveFilms, parts: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    past, newer = parts
    assert newer["time"].min() > UNTIL - 60 * 900
    other = live_films.only  # reads no device
    rows_ = newest_rows(newer, live_films.bundle, most=10_000, seed=0)
    found = recall_measures(live_films.bundle, other, rows_, earlier=past, k=5)
    assert found.notes == []
    (measure,) = found.measures
    assert (measure.name, measure.metric) == ("retrieval", "recall@5")
    value = measure.statistic(np.ones(newer.height))[0]
    expected = by_hand(live_films.bundle.retriever(), newer, past, 5)
    assert value == pytest.approx(expected, abs=1e-9)


def test_the_same_bundle_has_the_same_recall(bundle: Bundle, newest: pl.DataFrame) -> None:
    some = newest_rows(newest, bundle, most=10_000, seed=0)
    found = recall_measures(bundle, bundle, some, earlier=None, k=10)
    (measure,) = found.measures
    live, candidate = measure.statistic(np.ones(2_000))
    assert live == candidate > 0.0


def test_rows_without_a_positive_are_noted(bundle: Bundle, newest: pl.DataFrame) -> None:
    none = newest.filter(pl.col("click") == 0)
    some = newest_rows(none, bundle, most=10_000, seed=0)
    found = recall_measures(bundle, bundle, some, earlier=None, k=10)
    assert found.measures == []
    assert found.notes == ["no row is a positive of both retrievers, so recall is not compared"]


def test_items_of_one_bundle_do_not_count(
    bundle: Bundle, weak: Bundle, newest: pl.DataFrame
) -> None:
    """The few listings that only one bundle has are neither wanted nor shown."""
    some = newest_rows(newest, bundle, most=10_000, seed=0)
    strange = newest.with_columns(listing_id=pl.lit(10**9))
    unknown = newest_rows(strange, bundle, most=10_000, seed=0)
    found = recall_measures(bundle, weak, unknown, earlier=None, k=10)
    assert found.measures == []
    assert len(recall_measures(bundle, weak, some, earlier=None, k=10).measures) == 1


def test_positives_may_be_given(bundle: Bundle, newest: pl.DataFrame) -> None:
    """They are not filtered again, so they need no labels."""
    some = newest_rows(newest, bundle, most=10_000, seed=0)
    clicked = newest.filter(pl.col("click") == 1).drop("click", "booking")
    own, given = (
        recall_measures(bundle, bundle, some, positives=p).measures[0] for p in (None, clicked)
    )
    draws = np.ones(2_000)
    assert given.users == own.users
    np.testing.assert_array_equal(given.statistic(draws), own.statistic(draws))
