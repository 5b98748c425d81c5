"""Lifts against the textbook's delta method, a bootstrap, and the truth at all looks."""

import math

import numpy as np
import pytest

from crosstower.evaluation.experiments.confidence_sequences import half_width
from crosstower.evaluation.experiments.lifts import Mean, lift_of, means_of, per_user


def test_a_ratio_has_the_variance_of_the_delta_method() -> None:
    random = np.random.default_rng(0)
    shown = random.poisson(8, 3_000) + 1.0
    clicks = random.binomial(shown.astype(int), random.beta(2, 8, 3_000)) * 1.0
    values = per_user(clicks, shown, np.zeros(3_000, dtype=np.int64))
    ratio = clicks.sum() / shown.sum()
    covariance = np.cov(clicks, shown)
    expected = (covariance[0, 0] - 2 * ratio * covariance[0, 1] + ratio**2 * covariance[1, 1]) / (
        3_000 * shown.mean() ** 2
    )
    found = Mean.of(values, 3_000)
    assert found.value == pytest.approx(ratio)
    assert found.variance == pytest.approx(expected)
    draws = random.integers(0, 3_000, (2_000, 3_000))
    bootstrap = (clicks[draws].sum(axis=1) / shown[draws].sum(axis=1)).var()
    assert found.variance == pytest.approx(bootstrap, rel=0.15)
    rows = ratio * (1 - ratio) / shown.sum()  # what independent impressions would give
    assert found.variance > 1.5 * rows


def test_the_lift_has_the_variance_of_the_delta_method() -> None:
    control, arm = Mean(2.0, 0.01, 100, 50), Mean(2.5, 0.02, 100, 50)
    found = lift_of(control, arm, 0.1, level=0.9)
    error = math.sqrt(0.02 / 4 + 0.01 * 2.5**2 / 2**4)
    assert found.value == pytest.approx(0.25)
    assert found.standard_error == pytest.approx(error)
    assert found.high - found.value == pytest.approx(half_width(error, 0.1, level=0.9))
    assert found.value - found.low == pytest.approx(found.high - found.value)
    random = np.random.default_rng(0)
    draws = random.normal(2.5, 0.02**0.5, 400_000) / random.normal(2.0, 0.1, 400_000)
    assert found.standard_error == pytest.approx(draws.std(), rel=0.02)


def test_a_loss_counts_the_variance_of_the_control_in_full() -> None:
    found = lift_of(Mean(2.0, 0.01, 100, 50), Mean(0.5, 0.02, 100, 50), 0.1)
    assert found.standard_error == pytest.approx(math.sqrt((0.02 + 0.01) / 4))


def test_a_few_large_values_seldom_look_like_an_effect_though_looked_at_daily() -> None:
    """Revenue of 2 % of 1,500 users, with a log-normal distribution of σ = 2."""
    wrong = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        arms, arrives = random.integers(0, 2, 1_500), random.integers(0, 14, 1_500)
        revenue, seen = np.zeros(1_500), False
        for day in range(14):
            here = arrives <= day
            revenue += here * (random.random(1_500) < 0.04) * random.lognormal(0, 2, 1_500)
            first, second = means_of(revenue[here], revenue[here] > 0, arms[here], 2)
            one = lift_of(first, second, 0.5)
            seen |= one.known and not one.low <= 0 <= one.high
        wrong += seen
    assert wrong / 200 <= 0.05


def test_means_are_those_of_each_arm() -> None:
    values, arms = np.array([1.0, 3.0, 5.0, np.nan]), np.array([0, 0, 1, 1])
    first, second, third = means_of(values, np.array([True, False, True, True]), arms, 3)
    assert (first.value, first.users, first.active) == (2.0, 2, 1)
    assert first.variance == pytest.approx(np.var([1.0, 3.0], ddof=1) / 2)
    assert (second.value, second.users) == (5.0, 1)
    assert math.isnan(second.variance)
    assert math.isnan(third.value)


def test_too_few_users_or_a_mean_near_zero_give_no_interval() -> None:
    good = Mean(1.0, 0.01, 100, 50)
    assert lift_of(good, good, 0.05).known
    assert not lift_of(good, Mean(1.0, 0.01, 100, 29), 0.05).known
    assert not lift_of(Mean(0.1, 0.01, 100, 50), good, 0.05).known
    assert not lift_of(Mean(math.nan, math.nan, 0, 0), good, 0.05).known
    same = Mean(1.0, 0.0, 100, 100)
    assert lift_of(same, same, 0.05).p_value == 1.0
    assert lift_of(same, Mean(2.0, 0.0, 100, 100), 0.05).p_value == 0.0


def test_an_arm_without_denominator_has_no_value() -> None:
    values = per_user(np.ones(2), np.array([0.0, 2.0]), np.array([0, 1]))
    assert math.isnan(values[0])
    assert values[1] == 0.5


def looks(seed: int, lift: float, days: int = 14) -> list[tuple[float, float, float]]:
    """Return (low, lift, high) after each day: users arrive daily and come back."""
    random = np.random.default_rng(seed)
    users = 120 * days
    arms, taste = random.integers(0, 2, users), random.gamma(1.0, 0.5, users)
    arrives = random.integers(0, days, users)
    clicks, found = np.zeros(users), []
    for day in range(days):
        here = arrives <= day
        clicks[here] += random.poisson(taste[here] * (1 + lift * arms[here]))
        first, second = means_of(clicks[here], clicks[here] > 0, arms[here], 2)
        one = lift_of(first, second, 0.1)
        if one.known:
            found.append((one.low, one.value, one.high))
    return found


@pytest.mark.parametrize("lift", [0.0, 0.2])
def test_all_daily_intervals_together_cover_the_lift(lift: float) -> None:
    runs = [looks(seed, lift) for seed in range(300)]
    missed = sum(any(not low <= lift <= high for low, _, high in run) for run in runs)
    assert missed / 300 <= 0.05
    if lift:
        assert sum(run[-1][0] > 0 for run in runs) > 30  # and it is found, not only covered
