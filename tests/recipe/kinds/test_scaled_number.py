"""Numbers: scales, quantiles and ranges against closed forms."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crosstower.recipe.kinds.numeric import Numeric
from crosstower.recipe.kinds.scaled_number import Bucketised, NumberLearner
from crosstower.values.codes import MISSING, RESERVED_CODES

Finite = st.floats(-1e6, 1e6, allow_nan=False)


def learn(x: np.ndarray, **options: object):
    fit = NumberLearner(Numeric.model_validate(options))
    for part in np.array_split(x, 3):
        fit.add(pl.Series(part))
    return fit.finish()


def test_standardised_numbers_have_mean_zero_and_variance_one() -> None:
    x = np.random.default_rng(0).normal(40, 10, 5000)
    z = learn(x).scale(x)
    assert z == pytest.approx((x - x.mean()) / x.std())


def test_values_far_out_are_clipped_and_can_be_let_through() -> None:
    x = np.append(np.zeros(999), 1.0)
    assert learn(x, clip=3.0).scale(np.array([1e9])).tolist() == [3.0]
    assert learn(x, clip=None).scale(np.array([1e9]))[0] > 1e6


def test_a_constant_scales_to_zero() -> None:
    assert learn(np.full(10, 7.7)).scale(np.array([7.7])).tolist() == [0.0]


def test_log1p_keeps_the_sign() -> None:
    x = np.array([-9.0, 0.0, 9.0])
    logged = np.array([-np.log(10), 0.0, np.log(10)])
    assert learn(x, transform="log1p").scale(x) == pytest.approx(stats.zscore(logged))


def test_quantiles_become_uniform_with_variance_one() -> None:
    x = np.exp(np.random.default_rng(0).normal(size=20_000))
    z = learn(x, transform="quantile").scale(x)
    assert abs(z.mean()) < 0.01
    assert z.std() == pytest.approx(1.0, abs=0.01)
    assert stats.kstest(z, stats.uniform(-(3**0.5), 2 * 3**0.5).cdf).statistic < 0.01


def test_a_value_of_many_quantiles_stands_at_their_middle() -> None:
    x = np.concatenate([np.zeros(500), np.arange(1, 501)])
    low, high = learn(x, transform="quantile").scale(np.array([0.0, 500.0]))
    assert low == pytest.approx((2 * 0.25 - 1) * 3**0.5, abs=0.01)
    assert high == pytest.approx(3**0.5)


@pytest.mark.parametrize("transform", ["standardise", "log1p", "quantile", "none"])
def test_a_missing_number_is_the_middle_and_is_marked(transform: str) -> None:
    fitted = learn(np.array([1.0, 2.0, np.nan, 3.0]), transform=transform)
    assert fitted.had_missing
    assert fitted.scale(np.array([np.nan])).tolist() == [0.0]


def test_none_leaves_numbers_as_they_are() -> None:
    assert learn(np.array([5.0, 9.0]), transform="none").scale(np.array([123.0])).tolist() == [123]


def test_buckets_hold_equal_shares() -> None:
    x = np.random.default_rng(0).exponential(size=8000)
    fitted = learn(x, transform="bucketise", buckets=8)
    codes = fitted.encode(x)
    assert fitted.size == RESERVED_CODES + 8
    assert np.bincount(codes - RESERVED_CODES).tolist() == [1000] * 8


def test_given_boundaries_are_upper_ends() -> None:
    fitted = Bucketised(boundaries=(10.0, 20.0))
    codes = fitted.encode(np.array([-5, 10, 10.1, 20, 99, np.nan]))
    expected = [0, 0, 1, 1, 2]
    assert codes.tolist() == [e + RESERVED_CODES for e in expected] + [MISSING]


@given(st.lists(Finite, min_size=1, max_size=50), st.integers(2, 9))
def test_a_larger_number_never_gets_a_smaller_code(values: list[float], buckets: int) -> None:
    x = np.sort(np.array(values))
    codes = learn(x, transform="bucketise", buckets=buckets).encode(x)
    assert (np.diff(codes) >= 0).all()
    assert codes.max() < RESERVED_CODES + buckets


def test_no_number_at_all_still_gives_a_transform() -> None:
    blank = np.full(4, np.nan)
    for transform in ("standardise", "quantile", "bucketise"):
        fitted = learn(blank, transform=transform)
        if isinstance(fitted, Bucketised):
            assert fitted.encode(blank).tolist() == [MISSING] * 4
        else:
            assert fitted.scale(np.array([np.nan])).tolist() == [0.0]
