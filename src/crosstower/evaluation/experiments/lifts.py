"""Relative lift of an arm over the control, with always-valid intervals. No torch.

Shape: U users. A metric is the mean of a number per user, or a ratio of sums over users such as
clicks per impression. A ratio R = ΣY / ΣN is the mean of R + (Y - R N) / mean N, whose variance is
that of the delta method (Deng et al. 2018), so that both kinds of metrics share one path.

The lift m1 / m0 - 1 has the variance (v1 + max(1, m1 / m0)² v0) / m0². That is the delta method for
lifts above 0. Below 0, it would count the variance of the control for less than it is without an
effect, so that a few large values in the control would look like a certain loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crosstower.evaluation.experiments.confidence_sequences import always_valid_p, half_width
from crosstower.evaluation.metrics.registry import Floats
from crosstower.values.arrays import Indices

LEAST_ACTIVE = 30
"""Users with a value other than 0 per arm, below which there is no interval."""

_CLEAR = 2.0  # standard errors that the control's mean must be away from 0


@dataclass(frozen=True)
class Mean:
    """Mean of a metric in an arm.

    `variance` is that of the mean; `active` is the number of users whose number is not 0.
    """

    value: float
    variance: float
    users: int
    active: int

    @staticmethod
    def of(values: Floats, active: int) -> Mean:
        """Return the mean of values `[U]`; `active` is the number of users not at 0."""
        users = len(values)
        variance = float(values.var(ddof=1)) / users if users > 1 else math.nan
        return Mean(float(values.mean()) if users else math.nan, variance, users, active)


@dataclass(frozen=True)
class Lift:
    """Relative difference of an arm from the control.

    `low` and `high` are the ends of the always-valid interval; they are NaN with too few users, or
    if the control's mean is too close to 0 to divide by.
    """

    control: Mean
    arm: Mean
    value: float
    standard_error: float
    low: float
    high: float
    p_value: float

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)


def per_user(top: Floats, bottom: Floats | None, arms: Indices) -> Floats:
    """Return values `[U]` whose mean per arm is the metric.

    >>> clicks, shown = np.array([1.0, 3.0]), np.array([10.0, 10.0])
    >>> per_user(clicks, shown, np.array([0, 0])).round(2)
    array([0.1, 0.3])

    Args:
        top: `[U]` number per user, or the numerator of a ratio.
        bottom: `[U]` denominator of a ratio; None for a mean.
        arms: `[U]` number of the arm, from 0.

    """
    if bottom is None:
        return top
    values = np.full(len(top), np.nan)
    for arm in np.unique(arms):
        mine = arms == arm
        total = bottom[mine].sum()
        if total > 0.0:
            ratio = top[mine].sum() / total
            values[mine] = ratio + (top[mine] - ratio * bottom[mine]) / bottom[mine].mean()
    return values


def lift_of(control: Mean, arm: Mean, expected: float, *, level: float = 0.95) -> Lift:
    """Return the lift of an arm over the control.

    Args:
        control: mean of the control.
        arm: mean of the arm.
        expected: size of the lift for which the interval is narrowest.
        level: probability that all intervals cover the truth.

    """
    nan = math.nan
    enough = min(control.active, arm.active) >= LEAST_ACTIVE
    if not enough or abs(control.value) < _CLEAR * math.sqrt(control.variance):
        return Lift(control, arm, nan, nan, nan, nan, 1.0)
    ratio = arm.value / control.value
    variance = arm.variance + max(1.0, ratio**2) * control.variance
    error = math.sqrt(variance) / abs(control.value)
    reach = half_width(error, expected, level=level)
    p_value = always_valid_p(ratio - 1.0, error, expected) if error else float(ratio == 1.0)
    return Lift(control, arm, ratio - 1.0, error, ratio - 1.0 - reach, ratio - 1.0 + reach, p_value)


def means_of(values: Floats, active: NDArray[np.bool_], arms: Indices, count: int) -> list[Mean]:
    """Return the mean of each of `count` arms.

    Args:
        values: `[U]` as `per_user` returns them; NaN is left out.
        active: `[U]` whether a user's number is not 0.
        arms: `[U]` number of the arm.
        count: number of arms.

    """
    known = ~np.isnan(values)
    found = list[Mean]()
    for arm in range(count):
        mine = known & (arms == arm)
        found.append(Mean.of(values[mine], int(active[mine].sum())))
    return found
