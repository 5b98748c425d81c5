from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from crosstower.data.times.clock import Clock
from crosstower.errors import DataError
from crosstower.recipe.times import TimeFormat

NS = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize("given", ["2024-03-01", "2024-03-01T01:00:00+01:00", date(2024, 3, 1)])
@pytest.mark.parametrize("unit", [None, "ms"])
def test_a_given_time_compares_with_the_column(given: Any, unit: str | None) -> None:
    clock = Clock("ts", unit=unit)
    assert clock.moment(given, key="valid_from") == NS
    series = pl.Series([datetime(2024, 3, 1)]) if unit is None else pl.Series([NS // 10**6])
    assert clock.read(series).to_list() == [NS]


def test_numbers_compare_with_numbers() -> None:
    assert Clock("ts", unit="s").moment(NS // 10**9, key="k") == NS
    assert Clock("ts", unit="order").moment(7, key="k") == 7
    assert Clock("ts", unit="order", fractions=True).moment(7.5, key="k") == 7_500_000_000
    with pytest.raises(DataError, match=r"k: expected a number, since column 'ts' .*, got '2024-0"):
        Clock("ts", unit="order").moment("2024-03-01", key="k")
    with pytest.raises(DataError, match=r"k: expected an ISO 8601 time .*, got '7'"):
        Clock("ts").moment(7, key="k")
    with pytest.raises(DataError, match=r"k: expected an ISO 8601 time .*, got 'soon'"):
        Clock("ts").moment("soon", key="k")


def test_a_given_time_may_have_the_pattern_and_zone_of_the_column() -> None:
    how = TimeFormat(format="%d.%m.%Y", timezone="Europe/Berlin")
    assert Clock("ts", how).moment("01.03.2024", key="k") == NS - 3600 * 10**9
    assert Clock("ts", how).moment("2024-03-01", key="k") == NS - 3600 * 10**9
    assert Clock("ts", how).words == "ts read as text in the format %d.%m.%Y, Europe/Berlin"


def test_words_say_how_a_column_is_read() -> None:
    assert Clock("ts").words == "ts read as dates and times"
    assert Clock("ts", unit="ms").words == "ts read as milliseconds since 1970"
    assert Clock("ts", unit="order").words == "ts read as numbers in order"
