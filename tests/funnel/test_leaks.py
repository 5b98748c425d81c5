"""Rows that test the retriever and trained the ranker are counted."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.data.prepare import source_of
from crosstower.funnel.evaluation import evaluate_funnel
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.leaks import leak_notes, raw_at
from crosstower.recipe import Recipe
from crosstower.splits import TimeSplit

from .conftest import Runs, films_recipes, rentals_recipes, watches


def with_fractions(recipe: Recipe, *fractions: float) -> Recipe:
    split = TimeSplit(column="time", fractions=fractions)  # type: ignore[arg-type]
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"split": split})})


def test_one_split_by_time_leaks_nothing(rentals: Runs) -> None:
    funnel = Funnel.open(rentals.retrieval, rentals.ranking, candidates=20)
    assert evaluate_funnel(funnel, limit=600).notes[0].startswith("30 of")


def test_the_last_like_of_a_user_may_have_trained_the_ranker(cinema: Runs) -> None:
    """The ranker leaves out the last two rows of a user, the retriever the last two likes."""
    funnel = Funnel.open(cinema.retrieval, cinema.ranking)
    rows = watches().with_columns(left=pl.len().over("user") - pl.int_range(pl.len()).over("user"))
    last = rows.filter(pl.col("liked") == 1).group_by("user").tail(1)
    leaked = int((last["left"] > 2).sum())
    assert leaked > 0
    note = evaluate_funnel(funnel, columns=["hour"]).notes[0]
    assert note.startswith(f"{leaked} of {last.height} rows that test the retriever trained the")


@pytest.mark.parametrize("by", ["user", "film"])
def test_groups_and_columns_split_alike_whatever_the_positives_are(tmp_path: Any, by: str) -> None:
    split = {"kind": "group", "column": by}
    retrieval, ranking = films_recipes(tmp_path, split)
    source = source_of(retrieval.data)
    likes = watches().filter(pl.col("liked") == 1).height
    assert leak_notes(retrieval, ranking, source, np.arange(likes))  # of all positives some train
    tested = rows_in_test(retrieval, source)
    assert leak_notes(retrieval, ranking, source, tested) == []


def rows_in_test(retrieval: Recipe, source: Any) -> np.ndarray:
    from crosstower.data.positive_rows import read_positives
    from crosstower.data.sides import sides_of

    rows = read_positives(retrieval, source, sides_of(retrieval), lambda _stage, _rows: None)
    return rows.frame["row"].to_numpy()[rows.split == 2]


def test_random_splits_of_positives_and_of_all_rows_are_not_one_split(tmp_path: Any) -> None:
    retrieval, ranking = films_recipes(tmp_path, {"kind": "random"})
    source = source_of(retrieval.data)
    tested = rows_in_test(retrieval, source)
    (note,) = leak_notes(retrieval, ranking, source, tested)
    count = int(note.split()[0])
    assert 0.6 * len(tested) < count < len(tested)  # 80 % of all rows train the ranker


def test_splits_that_differ_are_named(tmp_path: Any) -> None:
    retrieval, ranking = films_recipes(tmp_path, {"kind": "time", "column": "time"})
    source = source_of(retrieval.data)
    tested = rows_in_test(retrieval, source)
    assert leak_notes(retrieval, ranking, source, tested) == []
    other = with_fractions(ranking, 0.7, 0.1, 0.2)
    (note,) = leak_notes(retrieval, other, source, tested)
    assert note.startswith("the recipes split their rows differently (splits: time (")
    assert "but no row that tests the retriever trained the ranker" in note
    later = with_fractions(ranking, 0.98, 0.01, 0.01)
    (note,) = leak_notes(retrieval, later, source, tested)
    assert "trained the ranker (splits: " in note
    assert "give both recipes one split" in note


def test_other_rows_cannot_be_compared(tmp_path: Any) -> None:
    retrieval, ranking = rentals_recipes()[0], films_recipes(tmp_path, {"kind": "random"})[1]
    source = source_of(ranking.data)
    (note,) = leak_notes(retrieval, ranking, source, np.arange(3))
    assert "the runs have other rows (world:rentals, " in note
    framed = ranking.model_copy(update={"data": ranking.data.model_copy(update={"path": None})})
    assert "a data frame" in leak_notes(retrieval, framed, source, np.arange(3))[0]


def test_raw_rows_come_in_the_order_asked_for(tmp_path: Any) -> None:
    source = source_of(films_recipes(tmp_path, {"kind": "random"})[0].data)
    rows = np.array([1_999, 3, 500])
    assert raw_at(source, rows, ["time", "film"]).equals(watches()[rows].select("time", "film"))
    assert raw_at(source, rows, []).width == 0
