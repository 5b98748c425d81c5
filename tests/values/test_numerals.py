from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.values.numerals import numerals_of

NUMBERS = ["9.5", "-0.25", "-3", "+7", "5.", ".5", "1e3", "-2.5E-1", "1705312800.123456789"]


@pytest.mark.parametrize("text", NUMBERS)
def test_text_is_read_exactly(text: str) -> None:
    found = numerals_of(pl.Series([text])).times(10**9)
    assert found.to_list() == [int(Decimal(text) * 10**9)]


@pytest.mark.parametrize("text", ["", "x", ".", "1,000", "0x10", "nan", "inf", "9" * 20, "1e400"])
def test_what_is_no_number_of_64_bits_is_null(text: str) -> None:
    assert numerals_of(pl.Series([text, "1"])).times(10**9).to_list() == [None, 10**9]


@given(st.integers(-(2**32), 2**32), st.integers(0, 999_999))
def test_an_epoch_in_seconds_is_the_same_as_float_and_as_text(whole: int, micros: int) -> None:
    value = Decimal(whole) + Decimal(micros) / 10**6
    expected = int(value * 10**9)
    for series in (pl.Series([str(value)]), pl.Series([float(value)])):
        assert numerals_of(series).times(10**9).to_list() == [expected]
    assert numerals_of(pl.Series([whole])).times(10**9).to_list() == [whole * 10**9]


def test_floats_that_are_no_numbers_and_large_integers_are_null() -> None:
    floats = numerals_of(pl.Series([float("nan"), float("inf"), 1e300, None, 2.0]))
    assert floats.times(1).to_list() == [None, None, None, None, 2]
    assert numerals_of(pl.Series([2**63], dtype=pl.UInt64)).times(1).to_list() == [None]
    assert numerals_of(pl.Series([2**40])).times(10**9).to_list() == [None]
