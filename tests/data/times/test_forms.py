"""What each value of a time column is."""

from datetime import date, datetime, time

import polars as pl
import pytest

from crosstower.data.times.forms import split_forms
from crosstower.errors import DataError
from crosstower.recipe.times import USUAL, TimeFormat


def moments(series: pl.Series, how: TimeFormat = USUAL) -> list[int | None]:
    return split_forms(series, how).instants.nanoseconds().to_list()


NS = 1_709_251_200 * 10**9  # 2024-03-01 UTC


@pytest.mark.parametrize("value", [date(2024, 3, 1), datetime(2024, 3, 1), "2024-03-01"])
def test_dates_and_iso_text_are_moments(value: object) -> None:
    assert moments(pl.Series("ts", [value, None])) == [NS, None]


def test_a_zone_of_the_recipe_applies_where_the_value_has_none() -> None:
    how = TimeFormat(timezone="Europe/Berlin")
    texts = pl.Series("ts", ["2024-03-01", "2024-03-01T00:00:00Z"])
    assert moments(texts, how) == [NS - 3600 * 10**9, NS]


def test_numbers_and_text_of_numbers_are_numerals() -> None:
    for series in (pl.Series("ts", [5, None]), pl.Series("ts", ["5", " "])):
        forms = split_forms(series, USUAL)
        assert forms.numerals.whole.to_list()[0] == 5
        assert forms.missing.to_list() == [False, True]
        assert forms.instants.nanoseconds().null_count() == 2


def test_nan_and_blank_text_are_missing() -> None:
    assert split_forms(pl.Series([1.0, float("nan")]), USUAL).missing.to_list() == [False, True]
    assert split_forms(pl.Series(["x", "  ", None]), USUAL).missing.to_list() == [
        False,
        True,
        True,
    ]


def test_a_pattern_reads_text_and_integers() -> None:
    how = TimeFormat(format="%Y%m%d")
    assert moments(pl.Series("ts", ["20240301", "soon"]), how) == [NS, None]
    assert moments(pl.Series("ts", [20240301, None]), how) == [NS, None]


@pytest.mark.parametrize("values", [[[1]], [True], [time(1)]])
def test_other_types_are_refused(values: list[object]) -> None:
    with pytest.raises(DataError, match="column 'ts': expected dates, times, numbers or text, got"):
        split_forms(pl.Series("ts", values), USUAL)
