"""Rows that test the retriever and trained or validated the ranker are counted."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.data.datasets import worlds
from crosstower.data.reading import source_of
from crosstower.funnel.evaluation import evaluate_funnel
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.leaks import leak_notes, raw_at
from crosstower.recipe.own_columns import ROW
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import TimeSplit

from ..fixtures.funnels import Runs, films_recipes, rentals_recipes, watches


def with_fractions(recipe: Recipe, *fractions: float) -> Recipe:
    split = TimeSplit(column="time", fractions=fractions)  # type: ignore[arg-type]
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"split": split})})


def test_one_split_by_time_is_not_quite_one(rentals: Runs) -> None:
    """The last tenth of the clicks begins before the last tenth of all rows does."""
    funnel = Funnel.open(rentals.retrieval, rentals.ranking, candidates=20)
    rows = worlds.make("rentals", rows=20_000).frame
    clicks = rows.filter(pl.col("click") == 1)["timestamp"].sort()
    tested = clicks.filter(clicks >= clicks[int(0.9 * len(clicks))])
    early = int((tested < rows["timestamp"].sort()[18_000]).sum())
    assert early > 0
    leak, seen, drawn, *_ = evaluate_funnel(funnel, limit=600).notes
    assert leak.startswith(
        f"{early} of {len(tested)} rows that test the retriever validated the ranker: ranked lists"
        " may look a little better"
    )
    assert seen.startswith("0 of 260 relevant items")
    assert drawn.startswith("a sample of 30 of")


def test_the_last_like_of_a_user_may_have_trained_the_ranker(cinema: Runs) -> None:
    """The ranker leaves out the last two rows of a user, the retriever the last two likes."""
    funnel = Funnel.open(cinema.retrieval, cinema.ranking)
    rows = watches().with_columns(left=pl.len().over("user") - pl.int_range(pl.len()).over("user"))
    last = rows.filter(pl.col("liked") == 1).group_by("user").tail(1)
    trained, validated = int((last["left"] > 2).sum()), int((last["left"] == 2).sum())
    assert min(trained, validated) > 0
    note = evaluate_funnel(funnel, columns=["hour"]).notes[0]
    assert note.startswith(
        f"{trained} of {last.height} rows that test the retriever trained the ranker and"
        f" {validated} validated it: ranked lists look better"
    )


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
    from crosstower.retrieval.data.positive_rows import read_positives
    from crosstower.retrieval.data.tower_columns import tower_columns_of

    rows = read_positives(
        retrieval, source, tower_columns_of(retrieval), lambda _stage, _rows: None
    )
    return rows.frame[ROW].to_numpy()[rows.split == 2]


def test_random_splits_of_positives_and_of_all_rows_are_not_one_split(tmp_path: Any) -> None:
    retrieval, ranking = films_recipes(tmp_path, {"kind": "random"})
    source = source_of(retrieval.data)
    tested = rows_in_test(retrieval, source)
    (note,) = leak_notes(retrieval, ranking, source, tested)
    words = note.split()
    trained, validated = int(words[0]), int(words[words.index("validated") - 1])
    assert 0.6 * len(tested) < trained < len(tested)  # 80 % of all rows train the ranker
    assert 0 < validated < 0.3 * len(tested)  # and 10 % validate it


def test_splits_that_differ_are_named(tmp_path: Any) -> None:
    retrieval, ranking = films_recipes(tmp_path, {"kind": "time", "column": "time"})
    source = source_of(retrieval.data)
    tested = rows_in_test(retrieval, source)
    assert leak_notes(retrieval, ranking, source, tested) == []
    other = with_fractions(ranking, 0.7, 0.1, 0.2)
    (note,) = leak_notes(retrieval, other, source, tested)
    assert note.startswith("the recipes split their rows differently (splits: time (")
    assert "but no row that tests the retriever trained or validated the ranker" in note
    later = with_fractions(ranking, 0.98, 0.01, 0.01)
    (note,) = leak_notes(retrieval, later, source, tested)
    assert " validated it (splits: " in note
    assert "give both recipes one split" in note


def test_rows_that_only_validated_the_ranker_are_a_leak_too(tmp_path: Any) -> None:
    """The retriever is tested with the last 200 rows, the ranker with the last 100."""
    retrieval, ranking = films_recipes(tmp_path, {"kind": "time", "column": "time"})
    source = source_of(retrieval.data)
    tested = np.flatnonzero(watches()["time"].filter(watches()["liked"] == 1) >= 1_800)
    late = with_fractions(ranking, 0.8, 0.15, 0.05)  # trains before 1,600, validates to 1,900
    likes = watches().filter(pl.col("liked") == 1, pl.col("time") >= 1_800)
    validated = likes.filter(pl.col("time") < 1_900).height
    (note,) = leak_notes(retrieval, late, source, tested)
    assert note.startswith(
        f"{validated} of {likes.height} rows that test the retriever validated the ranker (splits: "
    )
    assert "trained the ranker" not in note
    assert "may look a little better than they are" in note


def test_other_rows_cannot_be_compared(tmp_path: Any) -> None:
    retrieval, ranking = (
        rentals_recipes(tmp_path)[0],
        films_recipes(tmp_path, {"kind": "random"})[1],
    )
    source = source_of(ranking.data)
    (note,) = leak_notes(retrieval, ranking, source, np.arange(3))
    assert "the runs have other rows (world:rentals, " in note
    framed = ranking.model_copy(update={"data": ranking.data.model_copy(update={"path": None})})
    assert "a data frame" in leak_notes(retrieval, framed, source, np.arange(3))[0]


def test_raw_rows_come_in_the_given_order(tmp_path: Any) -> None:
    source = source_of(films_recipes(tmp_path, {"kind": "random"})[0].data)
    rows = np.array([1_999, 3, 500])
    assert raw_at(source, rows, ["time", "film"]).equals(watches()[rows].select("time", "film"))
    assert raw_at(source, rows, []).width == 0
