from datetime import timedelta

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from crosstower.values.durations import Duration, duration_text, seconds_of

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@given(number=st.integers(1, 10_000), unit=st.sampled_from(sorted(UNITS)))
def test_durations_are_those_of_the_standard_library(number, unit):
    wanted = timedelta(**{UNITS[unit]: number}).total_seconds()
    assert seconds_of(f"{number}{unit}") == seconds_of(f" {number} {unit} ") == wanted
    assert seconds_of(wanted) == wanted


@pytest.mark.parametrize("value", [0, -1, "0d", "7", "d", "7 days", "-1d", True, None, "1e9999d"])
def test_other_values_are_refused_in_words(value):
    with pytest.raises(ValueError, match=r"expected a duration above 0.*such as 7d, got"):
        seconds_of(value)


def test_text_has_a_unit() -> None:
    with pytest.raises(ValueError, match=r"above 0: a number with a unit .* such as 7d, got '5'"):
        seconds_of("5")
    with pytest.raises(ValueError, match=r"above 0: seconds, or a number with a unit"):
        seconds_of(-5)


@pytest.mark.parametrize("text", ["7d", "90m", "36h", "1m", "45s", "0.5s", "14d"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert duration_text(seconds_of(text)) == text


@pytest.mark.parametrize("value", [90, 0.5, "7d", " 1.5 h ", 0, -1, "7", "d", "7 days", True, None])
def test_the_json_schema_allows_what_is_read(value: object) -> None:
    schema = jsonschema.Draft202012Validator(TypeAdapter(Duration).json_schema())
    try:
        seconds_of(value)
    except ValueError:
        assert not schema.is_valid(value)
    else:
        assert schema.is_valid(value)
