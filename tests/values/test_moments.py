"""Moments and samples of streams against those of the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crosstower.values.moments import Moments, UniformSample

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
        sample.add(np.arange(start, start + 500, dtype=float))
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
