"""Moments and samples of streams against those of the whole."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crosstower.values.moments import Moments, NumberSummary, UniformSample, exact_sum

Finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(st.lists(Finite, max_size=20), min_size=1, max_size=5))
def test_moments_of_chunks_are_those_of_all(chunks: list[list[float]]) -> None:
    moments = Moments()
    for chunk in chunks:
        moments.add(np.array(chunk))
    x = np.concatenate([np.array(c) for c in chunks])
    assert moments.count == len(x)
    if len(x):
        assert moments.mean == pytest.approx(x.mean(), rel=1e-9, abs=1e-6)
        assert (moments.squares / len(x)) ** 0.5 == pytest.approx(x.std(), rel=1e-6, abs=1e-5)


def test_a_sample_is_uniform_over_the_stream() -> None:
    sample = UniformSample(size=2000)
    for start in range(0, 20_000, 500):
        sample.add(np.arange(start, start + 500, dtype=float), np.arange(start, start + 500))
    assert len(sample.values) == 2000
    assert stats.kstest(sample.values / 20_000, "uniform").pvalue > 0.001


@pytest.mark.parametrize("unit", [1e-15, 1e-6, 1.0, 1e9])
def test_a_spread_is_no_constant_in_any_unit(unit: float) -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, 1_000)
    moments, constant = Moments(), Moments()
    for part in np.split(x * unit, 4):
        moments.add(part)
        constant.add(np.full(len(part), 0.1 * unit))
    assert moments.sd == pytest.approx(x.std() * unit)
    assert constant.sd == 1.0


Any_float = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(Any_float, max_size=40))
def test_sums_are_those_of_fractions(numbers: list[float]) -> None:
    x = np.array(numbers, dtype=float)
    assert Fraction(exact_sum(x), 1 << 1074) == sum(map(Fraction, numbers))
    moments = Moments()
    moments.add(x)
    squares = sum(Fraction(number) ** 2 for number in numbers)
    assert Fraction(moments.total_of_squares, 1 << 2148) == squares


@given(st.lists(st.lists(Any_float, max_size=9), max_size=6))
def test_a_summary_of_parts_is_that_of_all(parts: list[list[float]]) -> None:
    merged, x = (
        NumberSummary(),
        np.array([number for part in parts for number in part], dtype=float),
    )
    for part in parts:
        one = NumberSummary()
        one.add(np.array(part, dtype=float))
        merged.merge(one)
    assert merged.count == len(x)
    assert Fraction(merged.total, 1 << 1074) == sum(map(Fraction, x))
    assert (merged.low, merged.high) == (x.min(initial=math.inf), x.max(initial=-math.inf))
    mean = sum(map(Fraction, x)) / len(x) if len(x) else 0
    assert merged.mean == float(mean)


@given(st.lists(st.lists(Any_float, max_size=9), max_size=6), st.randoms())
def test_moments_do_not_depend_on_parts_and_order(parts: list[list[float]], random: object) -> None:
    whole = Moments()
    whole.add(np.array([number for part in parts for number in part]))
    random.shuffle(parts)  # type: ignore[attr-defined]
    merged = Moments()
    for part in parts:
        one = Moments()
        one.add(np.array(part, dtype=float))
        merged.merge(one)
    assert merged == whole
    assert merged.plain() == whole.plain()


def test_moments_are_rounded_once() -> None:
    x = np.array([1e9 + i / 8 for i in range(1_000)])
    moments = Moments()
    moments.add(x)
    exact = list(map(Fraction, x.tolist()))
    mean = sum(exact) / len(exact)
    assert moments.mean == float(mean)
    assert moments.squares == float(sum((one - mean) ** 2 for one in exact))


def test_moments_go_on_from_plain_data() -> None:
    x = np.random.default_rng(0).normal(5.0, 2.0, 500)
    whole, first = Moments(), Moments()
    whole.add(x)
    first.add(x[:200])
    later = Moments.of(**first.plain())  # type: ignore[arg-type]
    later.add(x[200:])
    assert (later.count, later.mean) == (500, pytest.approx(whole.mean, rel=1e-15))
    assert later.squares == pytest.approx(whole.squares, rel=1e-14)


def test_numbers_beyond_the_range_of_squares_are_infinite() -> None:
    moments = Moments()
    moments.add(np.array([1.7e308, -1.7e308, 1.7e308]))
    assert moments.mean == pytest.approx(1.7e308 / 3)
    assert math.isinf(moments.sd)


def test_a_sample_does_not_depend_on_parts_and_order() -> None:
    random = np.random.default_rng(0)
    x, rows = random.normal(size=5_000), np.arange(5_000)
    whole = UniformSample(size=300)
    whole.add(x, rows)
    merged = UniformSample(size=300)
    order = random.permutation(5_000)
    for part in np.array_split(order, 7):
        one = UniformSample(size=300)
        one.add(x[part], rows[part])
        merged.merge(one)
    assert sorted(merged.values) == sorted(whole.values)
    assert set(whole.values) <= set(x)
