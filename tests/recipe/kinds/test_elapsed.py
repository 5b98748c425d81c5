"""Time between two moments of a row, in every form that times have."""

from datetime import UTC, date, datetime, time, timedelta
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


def test_the_first_and_the_last_year_are_read() -> None:
    (days,) = cleaned(["0001-01-01"], ["9999-12-31"])
    assert days == (date(9999, 12, 31) - date(1, 1, 1)).days
    assert cleaned([date(1, 1, 1)], [date(9999, 12, 31)]) == [days]


def test_fractions_of_seconds_count_in_every_form() -> None:
    moments = (1_700_000_000_250, 1_700_000_001_750)
    typed = [datetime.fromtimestamp(one / 1000, UTC) for one in moments]
    start, end = typed
    forms: list[tuple[Any, Any]] = [
        moments,
        (moments[0] / 1000, moments[1] / 1000),
        (f"{moments[0] / 1000}", f"{moments[1] / 1000}"),
        (moments[0] * 1000, moments[1] * 1000),
        (start, end),
        (start.isoformat(), end.isoformat()),
    ]
    for form in forms:
        assert cleaned([form[0]], [form[1]], unit="seconds") == pytest.approx([1.5])


def test_a_number_that_may_be_a_year_is_refused() -> None:
    with pytest.raises(DataError, match="column 'a': expected a time, got 1995"):
        cleaned([1995], [1_700_000_000])
    assert cleaned([1995], [1_700_000_000], start_format="s", unit="seconds") == [1_699_998_005]


@pytest.mark.parametrize(
    "cells", [[[1, 2]], [timedelta(days=1)], [time(10)], [{"a": 1}], [True], [b"2026-03-01"]]
)
def test_a_column_of_another_type_is_named(cells: list[Any]) -> None:
    with pytest.raises(DataError, match="column 'b': expected dates, times, text or numbers"):
        cleaned(["2026-03-01"], cells)


def test_categories_are_read_as_text() -> None:
    end = pl.Series(["2026-03-02", "", None], dtype=pl.Categorical)
    assert cleaned(["2026-03-01"] * 3, end) == [1.0, None, None]


def test_each_column_may_have_a_format() -> None:
    written = {"start_format": "%d/%m/%Y", "end_format": "s"}
    assert cleaned(["01/03/2026"], [1_772_496_000], **written) == [2.0]
    assert cleaned(["2026-03-01"], ["03.03.2026"], end_format="%d.%m.%Y") == [2.0]
    assert cleaned(["2026-03-01"], [20260303.0], end_format="%Y%m%d") == [2.0]


def test_a_cell_that_is_no_time_is_named() -> None:
    with pytest.raises(DataError, match="column 'b': expected a time, got 'soon'"):
        cleaned(["2026-03-01"], ["soon"])


def test_both_columns_are_read_as_times() -> None:
    column = Elapsed(start="published", end="shown")
    assert tuple(column.row_times("age")) == column.sources("age") == ("published", "shown")


def test_wrong_options_are_refused() -> None:
    with pytest.raises(RecipeError, match="unit"):
        Elapsed(start="a", end="b", unit="weeks")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="numbers that only order the rows are not times"):
        Elapsed(start="a", end="b", start_format="order")
