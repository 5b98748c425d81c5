"""CUPED against a regression, its closed form, and the bias that a careless slope would have."""

import numpy as np
import pytest

from crosstower.evaluation.experiments.cuped import adjusted


def draw(users: int, correlation: float, lift: float = 0.0, seed: int = 0):
    random = np.random.default_rng(seed)
    arms = random.integers(0, 2, users)
    before = random.standard_normal(users)
    noise = random.standard_normal(users)
    after = correlation * before + np.sqrt(1 - correlation**2) * noise + lift * arms
    return after, before, arms


def difference(values, arms) -> float:
    return values[arms == 1].mean() - values[arms == 0].mean()


def test_the_difference_is_the_arm_of_a_regression_on_arm_and_covariate() -> None:
    after, before, arms = draw(500, 0.6, lift=0.3)
    design = np.column_stack([np.ones(500), arms, before])
    expected = np.linalg.lstsq(design, after, rcond=None)[0]
    found = adjusted(after, before, arms)
    assert difference(found.values, arms) == pytest.approx(expected[1], rel=1e-10)
    assert found.slope == pytest.approx(expected[2], rel=1e-10)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_variance_falls_by_the_squared_correlation(correlation: float) -> None:
    plain, less = [], []
    for seed in range(2_000):
        after, before, arms = draw(100, correlation, lift=0.2, seed=seed)
        plain.append(difference(after, arms))
        less.append(difference(adjusted(after, before, arms).values, arms))
    assert np.mean(less) == pytest.approx(0.2, abs=4 * np.std(less) / 2_000**0.5)
    ratio = np.var(less) / np.var(plain)
    assert ratio == pytest.approx(1 - correlation**2, rel=0.15)
    found = adjusted(*draw(100_000, correlation))
    assert found.reduction == pytest.approx(correlation**2, abs=0.01)


def test_a_large_effect_does_not_change_the_slope() -> None:
    after, before, arms = draw(1_000, 0.5)
    moved = adjusted(after + 50.0 * arms, before, arms)
    assert moved.slope == pytest.approx(adjusted(after, before, arms).slope, rel=1e-9)
    assert moved.values.mean() == pytest.approx((after + 50.0 * arms).mean())


def test_a_constant_covariate_changes_nothing() -> None:
    after, _, arms = draw(50, 0.5)
    found = adjusted(after, np.full(50, 7.0), arms)
    assert (found.slope, found.reduction) == (0.0, 0.0)
    assert found.values is after
    assert adjusted(np.ones(50), after, arms).reduction == 0.0
