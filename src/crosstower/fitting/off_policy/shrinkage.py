"""Doubly robust estimators with reduced weights; the parameter is chosen from the log. No torch.

Shapes: B logged rows, as in `off_policy`. Both estimators are the mean of

    predicted_target + v x (reward - predicted)

with v = w where w <= threshold and 0 elsewhere (Switch-DR, Wang et al. 2017), or
v = shrinkage x w / (w² + shrinkage) (optimistic shrinkage, Su et al. 2020). Both run from the
direct method (parameter 0) to doubly robust (parameter inf): less variance for more bias. Their
standard errors include the bias of smaller weights, which the log hardly shows:
sqrt(variance of the mean + bias² + variance of bias), where bias is the mean of
(w - v) x (reward - predicted). So the value is less noisy than that of doubly robust, and its
interval about as wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from crosstower.errors import DataError
from crosstower.fitting.off_policy.importance import (
    Estimate,
    Groups,
    Numbers,
    Weights,
    finite,
    mean_of,
    unweighted,
    weights_of,
)
from crosstower.values.arrays import Floats

Smaller = Callable[[Floats, float], Floats]
_QUANTILES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
_SHRINKAGES = 30
_ABOVE = 1.0 + 1e-7  # weights that are equal but for rounding stay on one side


def switch_doubly_robust(
    reward: Numbers,
    propensity: Numbers,
    target: Numbers,
    predicted: Numbers,
    predicted_target: Numbers,
    *,
    threshold: float | None = None,
    groups: Groups = None,
) -> Estimate:
    """Return doubly robust with the weights above `threshold` set to 0 (Wang et al. 2017).

    Args:
        reward: `[B]`, finite.
        propensity: `[B]` in (0, 1].
        target: `[B]` in [0, 1].
        predicted: `[B]` the model's reward of the logged action, finite.
        predicted_target: `[B]` its expectation under the evaluated policy.
        threshold: 0 or more; if None that of `chosen_parameter` out of 0, quantiles of the
            positive weights, and inf.
        groups: as in `inverse_propensity`.

    Raises:
        DataError: as `doubly_robust`, or the threshold is negative or NaN.

    """
    rows = _Rows.of(reward, propensity, target, predicted, predicted_target)
    return rows.estimate(_switched, _thresholds, threshold, groups)


def shrunk_doubly_robust(
    reward: Numbers,
    propensity: Numbers,
    target: Numbers,
    predicted: Numbers,
    predicted_target: Numbers,
    *,
    shrinkage: float | None = None,
    groups: Groups = None,
) -> Estimate:
    """Return doubly robust with optimistic shrinkage of the weights (Su et al. 2020).

    `clipped` counts the rows whose weight falls below half. Other arguments and errors are those
    of `switch_doubly_robust`.

    Args:
        reward: `[B]`, finite.
        propensity: `[B]` in (0, 1].
        target: `[B]` in [0, 1].
        predicted: `[B]` the model's reward of the logged action, finite.
        predicted_target: `[B]` its expectation under the evaluated policy.
        shrinkage: 0 or more, in units of squared weights; if None that of `chosen_parameter` out
            of 0, a geometric grid around the squares of the positive weights, and inf.
        groups: as in `inverse_propensity`.

    """
    rows = _Rows.of(reward, propensity, target, predicted, predicted_target)
    return rows.estimate(_shrunk, _shrinkages, shrinkage, groups)


def chosen_parameter(
    weights: Floats,
    residual: Floats,
    expected: Floats,
    smaller: Smaller,
    candidates: Floats,
    *,
    groups: Groups = None,
) -> float:
    """Return the candidate with the smallest estimated squared error (Su et al. 2020, section 5).

    The error is the variance of the mean, plus the square of the bias that smaller weights bring:
    the mean of (w - v) x residual. Of equal candidates the largest is taken, which has the least
    bias.

    Args:
        weights: `[B]` w.
        residual: `[B]` reward - predicted.
        expected: `[B]` predicted_target.
        smaller: makes v of w and a candidate.
        candidates: `[C]`, at least one.
        groups: as in `inverse_propensity`, for the variance.

    """
    best, lowest = math.inf, math.inf
    for candidate in sorted(candidates, reverse=True):
        used = smaller(weights, candidate)
        terms = expected + used * residual
        variance = float(np.var(terms)) / len(weights)
        if groups is not None:
            variance = mean_of(terms, groups)[1] ** 2
        bias = float(np.mean((weights - used) * residual))
        if (error := variance + bias**2) < lowest:
            best, lowest = float(candidate), error
    return best


@dataclass(frozen=True)
class _Rows:
    """Weights, and `[B]` reward - predicted and predicted_target."""

    weights: Weights
    residual: Floats
    expected: Floats

    @staticmethod
    def of(
        reward: Numbers,
        propensity: Numbers,
        target: Numbers,
        predicted: Numbers,
        predicted_target: Numbers,
    ) -> _Rows:
        rewards, model, expected = finite(
            reward=reward, predicted=predicted, predicted_target=predicted_target
        )
        weights = weights_of(propensity, target, None, len(rewards))
        return _Rows(weights, rewards - model, expected)

    def estimate(
        self,
        smaller: Smaller,
        candidates: Callable[[Floats], Floats],
        given: float | None,
        groups: Groups,
    ) -> Estimate:
        """Return the value with weights made smaller by a parameter, chosen where it is None."""
        weights, chosen = self.weights.used, given
        if chosen is None:
            grid = candidates(weights)
            chosen = chosen_parameter(
                weights, self.residual, self.expected, smaller, grid, groups=groups
            )
        if not chosen >= 0.0:
            raise DataError(
                f"threshold, shrinkage: expected a number of 0 or more, or None, got {chosen}"
            )
        used = smaller(weights, chosen)
        terms, cut = self.expected + used * self.residual, int(np.sum(2.0 * used < weights))
        if used.any():
            found = Weights(used, self.weights.largest, cut).estimate(terms, groups)
        else:  # the model alone
            found = replace(unweighted(terms, groups), max_weight=self.weights.largest, clipped=cut)
        error = math.hypot(found.standard_error, *mean_of((weights - used) * self.residual, groups))
        return replace(found, standard_error=error, parameter=float(chosen))


def _switched(weights: Floats, threshold: float) -> Floats:
    return np.where(weights <= threshold, weights, 0.0)


def _shrunk(weights: Floats, shrinkage: float) -> Floats:
    if math.isinf(shrinkage):
        return weights
    if shrinkage == 0.0:
        return np.zeros_like(weights)
    return weights / (1.0 + weights**2 / shrinkage)


def _thresholds(weights: Floats) -> Floats:
    found = np.quantile(weights[weights > 0.0], _QUANTILES)
    return np.array([0.0, *(found * _ABOVE), np.inf])


def _shrinkages(weights: Floats) -> Floats:
    low, high = np.quantile(weights[weights > 0.0], (0.05, 0.95)) ** 2
    return np.array([0.0, *np.geomspace(low / 100.0, 100.0 * high, _SHRINKAGES), np.inf])
