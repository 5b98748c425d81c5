"""Columns and constants whose types fit, or an error."""

import polars as pl
import pytest

from crosstower.data.filters.filter import parse_filter
from crosstower.errors import QueryError

from .test_filter import many


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price in [2]", [1]),
        ("price in [1.5, 2]", [0, 1]),
        ("price not in [2, 7]", [0]),
        ("light in [0.1]", [0]),
        ("small in [1.0, 300, 1e300, -400]", [0]),
        ("small in [300]", []),
        ("small not in [300]", [0, 1]),
        ("small in []", []),
        ("small not in []", [0, 1]),
        ("big in [18446744073709551615, -1]", [0]),
        ("name in []", []),
        ("War in [true]", [0]),
        ("1 in codes", [0]),
        ("3.0 in codes", [1]),
        ("300 in codes", []),
        ("300 not in codes", [0, 1]),
        ("4 in pair", [1]),
    ],
)
def test_values_of_lists_compare_by_value(text: str, expected: list[int]) -> None:
    assert many(text) == expected


@pytest.mark.parametrize("value", ["7", '"soon"', "true", '"1/3/2024"'])
def test_a_time_is_not_compared_with_anything_else(value: str) -> None:
    with pytest.raises(QueryError, match=r"column 't' holds Date, got .*; write an ISO 8601 time"):
        parse_filter(f"t > {value}", {"t": pl.Date()})


def test_strict_conditions_convert_nothing() -> None:
    columns = {"city": pl.String(), "price": pl.Float64(), "pool": pl.Boolean()}
    for text in ("city < 3", "price == '3'", "pool == 1", "city == price", "pool == price"):
        parse_filter(text, columns)
        with pytest.raises(QueryError, match="holds"):
            parse_filter(text, columns, strict=True)
