import numpy as np
import polars as pl
import pytest

from crosstower.data.sources.source import FrameSource
from crosstower.errors import DataError
from crosstower.fitting.validation.seen_rows import NEW, PLACE, SampledRows, ValueCounts, see_rows
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.own_columns import ROW, SPLIT
from crosstower.recipe.recipe import Recipe

RECIPE = """
data: {on_bad_rows: error}
schema: {columns: {id: categorical, x: numeric, tags: bag}, tasks: {y: binary}}
"""
FRAME = pl.DataFrame(
    {
        "id": [f"i{n % 7}" for n in range(100)],
        "x": [str(n) for n in range(99)] + ["ninety-nine"],
        "tags": [["a", "b"], ["c"]] * 50,
        "y": [0, 1] * 50,
    }
)


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe(RECIPE)


def sampled(size: int, copies: int) -> SampledRows:
    rows = SampledRows(size)
    for start in range(0, 1000, 100):
        values = np.tile(np.arange(start, start + 100 // copies), copies)
        frame = pl.DataFrame({ROW: np.arange(100), "x": values})
        rows.add(frame.with_columns(pl.lit("train").alias(SPLIT), pl.lit("row").alias(PLACE)))
    return rows


def test_a_sample_keeps_all_copies_of_a_row_or_none() -> None:
    rows = sampled(100, copies=2)
    assert rows.frame is not None
    assert not rows.whole
    assert 50 < rows.frame.height < 150
    assert set(rows.frame.group_by("x").len()["len"]) == {2}
    assert sampled(1000, copies=2).whole


def test_bad_cells_are_counted_and_the_first_are_shown(recipe: Recipe) -> None:
    seen = see_rows(recipe, FrameSource(FRAME, "rows"), coded=["id", "tags"])
    assert sum(seen.rows.values()) == 99
    assert (seen.bad["x"].count, seen.bad["x"].expected) == (1, "a finite number")
    assert seen.bad["x"].first == ["row 99 of rows: 'ninety-nine'"]
    assert set(seen.frame.columns) >= {"id", "x", "tags", SPLIT, PLACE}
    assert seen.frame.filter(pl.col("x") == 42)[PLACE][0] == "row 42 of rows"


def test_rows_of_which_none_is_good_are_refused(recipe: Recipe) -> None:
    wrong = FRAME.with_columns(x=pl.lit("?"))
    seen = see_rows(recipe, FrameSource(wrong, "rows"), coded=[])
    with pytest.raises(DataError, match="no good rows; the bad cells are: 100 in 'x'"):
        _ = seen.frame


def test_new_rows_need_no_labels_and_no_split(recipe: Recipe) -> None:
    seen = see_rows(recipe, FrameSource(FRAME.drop("y")), coded=["id"], divided=False)
    assert dict(seen.rows) == {NEW: 99}
    assert not seen.schema.tasks
    with pytest.raises(DataError, match="column 'id'"):
        see_rows(recipe, FrameSource(FRAME.drop("id")), coded=[], divided=False)


def test_unknown_values_are_counted_by_rows_and_the_most_frequent_are_shown() -> None:
    counts = ValueCounts()
    for _ in range(2):  # as two chunks
        counts.add(pl.Series(["a", "b", "c", None]), pl.Series(["train", "test", "test", "test"]))
    counts.add(pl.Series([["b", "a"], [], None]), pl.Series(["test", "test", "test"]))
    assert counts.unknown("test") == (5, 6, ["b", "c"])
    assert counts.unknown("valid") == (0, 0, [])
    assert ValueCounts().unknown("test") == (0, 0, [])
