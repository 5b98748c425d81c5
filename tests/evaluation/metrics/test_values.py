"""Means in float64, and the message that names the first wrong value."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.errors import DataError
from crosstower.evaluation.metrics.values import mean_of, refuse

NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50)


@given(NUMBERS)
def test_the_mean_of_float32_is_that_of_exact_fractions(numbers: list[float]) -> None:
    exact = float(sum(map(Fraction, numbers)) / len(numbers))
    largest = max(map(abs, numbers))
    found = mean_of(np.array(numbers, dtype=np.float32))
    assert found == pytest.approx(exact, abs=1e-14 * max(largest, 1.0) * len(numbers))


def test_a_mean_of_many_float32_keeps_what_a_sum_in_float32_would_lose() -> None:
    values = np.full(2**20, 0.1, dtype=np.float32)
    values[0] = 2.0**24  # to which float32 cannot add 0.1
    expected = (2.0**24 + (2**20 - 1) * float(np.float32(0.1))) / 2**20
    assert mean_of(values) == pytest.approx(expected, rel=1e-12)
    assert type(mean_of(values)) is float


def test_no_value_has_no_mean_and_nan_stays() -> None:
    assert math.isnan(mean_of(np.empty(0)))
    assert math.isnan(mean_of(np.array([1.0, np.nan])))


@given(st.lists(st.booleans(), max_size=20))
def test_the_first_wrong_value_and_their_number_are_named(flags: list[bool]) -> None:
    wrong, values = np.array(flags, dtype=bool), np.arange(len(flags)) + 0.5
    if not any(flags):
        refuse(wrong, values, "expected a label")
        return
    with pytest.raises(DataError) as caught:
        refuse(wrong, values, "expected a label")
    row = flags.index(True)
    words = f"expected a label, got {row + 0.5} in row {row}, {sum(flags)} such rows"
    assert str(caught.value) == words
