"""Importance weights of logged rows and what an estimate rests on."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crosstower.errors import DataError, QueryError
from crosstower.fitting.off_policy.estimators import (
    Estimate,
    all_estimates,
    inverse_propensity,
    self_normalised,
)
from crosstower.fitting.off_policy.importance import mean_of

from .test_estimators import a_log


@given(seed=st.integers(0, 9999), low=st.floats(0.1, 5), high=st.floats(0.1, 5))
def test_clipping_more_lowers_a_positive_value_and_evens_the_weights_out(seed, low, high):
    _, (reward, propensity, target) = a_log(seed)
    low, high = sorted((low, high))
    tight, loose, free = (
        inverse_propensity(np.abs(reward), propensity, target, clip=c) for c in (low, high, None)
    )
    assert tight.value <= loose.value <= free.value
    assert tight.clipped >= loose.clipped >= free.clipped == 0
    assert tight.effective_sample_size >= loose.effective_sample_size - 1e-9
    assert tight.max_weight == free.max_weight


def test_columns_of_a_frame_are_taken_as_they_are():
    columns, _ = a_log()
    frame = pl.DataFrame(columns)
    assert all_estimates(**{name: frame[name] for name in columns}) == all_estimates(**columns)


def test_an_interval_is_the_normal_one_and_one_row_has_none():
    estimate = Estimate(0.5, 0.1, 10.0, 10, 2.0, 0)
    for level in (0.5, 0.95, 0.99):
        expected = stats.norm.interval(level, loc=0.5, scale=0.1)
        assert estimate.interval(level) == pytest.approx(expected, rel=1e-9)
    one = inverse_propensity(np.array([2.0]), np.array([0.5]), np.array([0.25]))
    assert one.value == 1.0
    assert math.isnan(one.standard_error)
    with pytest.raises(DataError, match=r"level: .* such as 0.95, got 95"):
        estimate.interval(95)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"propensity": np.array([0.5, 0.0])}, r"propensity: .*\(0, 1\], got 0.0 in row 1"),
        ({"propensity": np.array([-0.5, 0.5])}, "propensity: .*got -0.5 in row 0, 1 such rows"),
        ({"propensity": np.array([np.nan, 0.5])}, "propensity: .*got nan in row 0"),
        ({"propensity": np.array([1.5, 2.0])}, "propensity: .*got 1.5 in row 0, 2 such rows"),
        ({"propensity": np.ones(3)}, "got lengths reward 2, propensity 3, target 2"),
        ({"target": np.array([1.0, 1.1])}, r"target: .*\[0, 1\], got 1.1 in row 1"),
        ({"target": np.array([1.0, -0.1])}, "target: .*got -0.1 in row 1"),
        ({"target": np.array([np.nan, 1.0])}, "target: .*got nan in row 0"),
        ({"target": np.ones(1)}, "got lengths reward 2, propensity 2, target 1"),
        ({"target": np.zeros(2)}, "takes none of the 2 logged actions"),
        ({"reward": np.array([1.0, np.inf])}, "reward: expected a finite number, got inf in row 1"),
        ({"reward": pl.Series([1.0, None])}, "reward: expected a finite number, got nan in row 1"),
        (dict.fromkeys(("reward", "propensity", "target"), np.empty(0)), "at least one logged row"),
    ],
)
def test_bad_input_is_named(change, words):
    good = {"reward": np.ones(2), "propensity": np.full(2, 0.5), "target": np.ones(2)}
    for estimate in (inverse_propensity, self_normalised, all_estimates):
        with pytest.raises(DataError, match=words):
            estimate(**(good | change))


@pytest.mark.parametrize("clip", [0.0, -1.0, math.nan])
def test_a_limit_of_weights_is_above_0(clip: float) -> None:
    for estimate in (inverse_propensity, self_normalised, all_estimates):
        with pytest.raises(QueryError, match=f"clip: expected .* above 0, or None, got {clip}"):
            estimate(np.ones(2), np.full(2, 0.5), np.ones(2), clip=clip)


@pytest.mark.parametrize("tiny", [5e-324, 1e-300, 1e-101])
def test_a_weight_that_cannot_be_squared_is_refused(tiny: float) -> None:
    rows = np.ones(3), np.array([0.5, tiny, 0.5]), np.ones(3)
    with pytest.raises(DataError, match=r"propensity: expected a chance within .* row 1, 1 such"):
        all_estimates(*rows, predicted=np.ones(3), predicted_target=np.ones(3))
    found = all_estimates(
        rows[0], np.array([0.5, 1e-90, 0.5]), rows[2], predicted=rows[0], predicted_target=rows[0]
    )
    assert all(math.isfinite(estimate.value) for estimate in found.values())
    assert found["inverse_propensity"].effective_sample_size == pytest.approx(1.0)


def test_the_error_of_groups_is_that_of_their_sums() -> None:
    random = np.random.default_rng(0)
    groups, terms = np.repeat(np.arange(40), 3), random.normal(size=120)
    mean, error = mean_of(terms, groups)
    sums = terms.reshape(40, 3).mean(axis=1)  # of groups of one size: the mean of their means
    assert mean == pytest.approx(sums.mean(), rel=1e-12)
    assert error == pytest.approx(sums.std(ddof=1) / np.sqrt(40), rel=1e-12)


def test_rows_that_are_groups_of_their_own_have_the_usual_error() -> None:
    terms = np.random.default_rng(1).normal(size=50)
    assert mean_of(terms, np.arange(50) * 2) == pytest.approx(mean_of(terms), rel=1e-12)


def test_equal_rows_of_a_group_count_once() -> None:
    terms = np.random.default_rng(2).normal(size=30)
    twice = mean_of(np.repeat(terms, 2), np.repeat(np.arange(30), 2))
    assert twice == pytest.approx(mean_of(terms), rel=1e-12)
