"""Time between two moments of a row, in every form that times have."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.kinds.elapsed import Elapsed
from crosstower.recipe.schema import Schema


def cleaned(start: Any, end: Any, **options: Any) -> list[float | None]:
    column = Elapsed(start="a", end="b", **options)
    rows = pl.DataFrame({"a": start, "b": end})
    return Cleaner(Schema(columns={"c": column})).clean(Chunk(rows, "rows", 0, 0))["c"].to_list()


@pytest.mark.parametrize(
    ("unit", "expected"), [("seconds", 129_600), ("minutes", 2_160), ("hours", 36), ("days", 1.5)]
)
def test_units(unit: str, expected: float) -> None:
    assert cleaned(["2026-03-01"], ["2026-03-02T12:00:00Z"], unit=unit) == pytest.approx([expected])


@pytest.mark.parametrize(
    "end",
    [
        ["2026-03-02", "2026-02-28", None, ""],
        [date(2026, 3, 2), date(2026, 2, 28), None, None],
        [datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC), None, None],
        [1_772_409_600, 1_772_236_800, None, None],
        [1_772_409_600_000.0, 1_772_236_800_000.0, float("nan"), None],
    ],
)
def test_forms_of_times_give_the_same(end: list[Any]) -> None:
    assert cleaned(["2026-03-01"] * 4, end) == [1.0, -1.0, None, None]


def test_times_are_local_where_a_zone_is_named() -> None:
    start, end = ["2026-03-28T12:00"], ["2026-03-29T12:00"]  # clocks go forward in between
    assert cleaned(start, end, unit="hours") == [24.0]
    assert cleaned(start, end, unit="hours", timezone="Europe/Berlin") == [23.0]


def test_far_moments_do_not_overflow() -> None:
    (days,) = cleaned(["1700-01-01"], ["2200-01-01"])
    assert days == (date(2200, 1, 1) - date(1700, 1, 1)).days


def test_each_column_may_have_a_format() -> None:
    written = {"start_format": "%d/%m/%Y", "end_format": "s"}
    assert cleaned(["01/03/2026"], [1_772_496_000], **written) == [2.0]
    assert cleaned(["2026-03-01"], ["03.03.2026"], end_format="%d.%m.%Y") == [2.0]


def test_a_cell_that_is_no_time_is_named() -> None:
    with pytest.raises(DataError, match="column 'b': expected a time, got 'soon'"):
        cleaned(["2026-03-01"], ["soon"])


def test_both_columns_are_read_as_times() -> None:
    column = Elapsed(start="published", end="shown")
    assert tuple(column.row_times("age")) == column.sources("age") == ("published", "shown")


def test_wrong_options_are_refused() -> None:
    with pytest.raises(RecipeError, match="unit"):
        Elapsed(start="a", end="b", unit="weeks")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="numbers that only order the rows are no times"):
        Elapsed(start="a", end="b", start_format="order")
