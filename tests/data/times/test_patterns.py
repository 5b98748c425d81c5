from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstower.data.times.patterns import fitting_patterns, reads


@pytest.mark.parametrize(
    ("values", "patterns"),
    [
        (["1/2/2024", "1/15/2024"], ["%m/%d/%Y"]),
        (["1/2/2024", "15/1/2024"], ["%d/%m/%Y"]),
        (["1/2/2024", "3/4/2024"], ["%m/%d/%Y", "%d/%m/%Y"]),
        (["15.1.24"], []),
        (["1/15/2024", "15/1/2024"], []),
        (["soon"], []),
    ],
)
def test_only_patterns_that_read_all_values_are_named(
    values: list[str], patterns: list[str]
) -> None:
    assert fitting_patterns(pl.Series(values)) == patterns


@settings(max_examples=20)
@given(
    moment=st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1)),
    pattern=st.sampled_from(["%d.%m.%Y %H:%M", "%m/%d/%y %I:%M:%S %p", "%B %d, %Y", "%d-%b-%Y"]),
)
def test_the_pattern_that_wrote_a_time_is_among_those_named(moment: datetime, pattern: str) -> None:
    text = pl.Series([moment]).dt.strftime(pattern)
    assert pattern in fitting_patterns(text)
    assert all(reads(text, found) for found in fitting_patterns(text))


def test_dots_with_a_short_year_are_a_time_only_where_times_are_known() -> None:
    assert fitting_patterns(pl.Series(["15.1.24"]), times=True) == ["%d.%m.%y"]
