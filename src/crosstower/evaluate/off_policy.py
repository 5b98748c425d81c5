"""The value of a policy that was not run, from rows that another policy logged. No torch.

Shapes: B logged rows, A actions. A row holds its reward, the chance with which the logging policy
took its action (`propensity`) and that with which the evaluated policy would take it (`target`).
Its weight w is target / propensity. A value is a mean reward a row, in units of the reward.

Every estimate needs rows that can tell: an action that the evaluated policy takes must have had a
chance in the log. Where no row has a weight above 0 there is nothing to estimate, an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError

Numbers = pl.Series | NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A policy's value and what it rests on.

    `effective_sample_size` is (Σw)² / Σw² (Kish 1965): so many rows of equal weight would be as
    sure. `max_weight` is the largest w before clipping, `clipped` counts the rows whose w was cut.
    Without weights they are `rows`, 1 and 0. The standard error is NaN with one row.
    """

    value: float
    standard_error: float
    effective_sample_size: float
    rows: int
    max_weight: float
    clipped: int

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return (low, high), the normal interval that holds the value with chance `level`.

        Raises:
            DataError: `level` is not between 0 and 1.

        """
        if not 0.0 < level < 1.0:
            raise DataError(f"level: expected a share between 0 and 1, such as 0.95, got {level}")
        reach = NormalDist().inv_cdf((1.0 + level) / 2.0) * self.standard_error
        return self.value - reach, self.value + reach


def all_estimates(
    reward: Numbers,
    propensity: Numbers,
    target: Numbers,
    *,
    predicted: Numbers | None = None,
    predicted_target: Numbers | None = None,
    clip: float | None = None,
) -> dict[str, Estimate]:
    """Return every estimate by its name; `logged` is the logging policy's own value.

    Those that need a reward model, `direct_method` and `doubly_robust`, are there if `predicted`
    and `predicted_target` are given. Arguments and errors are those of `doubly_robust`.
    """
    logged = (reward, propensity, target)
    found = {
        "logged": on_policy(reward),
        "inverse_propensity": inverse_propensity(*logged, clip=clip),
        "self_normalised": self_normalised(*logged, clip=clip),
    }
    if predicted is None and predicted_target is None:
        return found
    if predicted is None or predicted_target is None:
        raise DataError(
            "reward model: expected predicted (of the logged action) and predicted_target (mean"
            " over the evaluated policy), got one of them; give both or neither"
        )
    found["direct_method"] = direct_method(predicted_target)
    found["doubly_robust"] = doubly_robust(*logged, predicted, predicted_target, clip=clip)
    return found


def on_policy(reward: Numbers) -> Estimate:
    """Return the value of the policy that logged the rows: the mean of `reward` `[B]`.

    Raises:
        DataError: there are no rows, or a reward is not finite.

    """
    return _unweighted(*_finite(reward=reward))


def inverse_propensity(
    reward: Numbers, propensity: Numbers, target: Numbers, *, clip: float | None = None
) -> Estimate:
    """Return the mean of w x reward (Horvitz & Thompson 1952).

    Without bias if the propensities are right, but with a large variance where weights are large.
    Clipped weights (Ionides 2008) lower the variance and pull the value of rewards >= 0 down.

    Args:
        reward: `[B]`, finite: clicks, money; rows whose reward is missing must be gone.
        propensity: `[B]` chance of the logged action under the logging policy, in (0, 1].
        target: `[B]` chance of the logged action under the evaluated policy, in [0, 1].
        clip: weights above it are cut to it; None leaves all as they are.

    Raises:
        DataError: there are no rows, lengths differ, a number is out of its range, or all weights
            are 0: the evaluated policy never takes a logged action.

    """
    (rewards,) = _finite(reward=reward)
    weights = _weights(propensity, target, clip, len(rewards))
    return weights.estimate(weights.used * rewards)


def self_normalised(
    reward: Numbers, propensity: Numbers, target: Numbers, *, clip: float | None = None
) -> Estimate:
    """Return Σ(w x reward) / Σw (Swaminathan & Joachims 2015).

    It stays in the range of the rewards and adding a constant to them shifts it by just that; its
    bias falls as 1 / B. The standard error is that of the delta method: of the mean of
    w x (reward - value), divided by the mean weight. Arguments and errors are those of
    `inverse_propensity`.
    """
    (rewards,) = _finite(reward=reward)
    weights = _weights(propensity, target, clip, len(rewards))
    share = weights.used / weights.used.mean()
    value = float(np.mean(share * rewards))
    return weights.estimate(value + share * (rewards - value))


def direct_method(predicted_target: Numbers) -> Estimate:
    """Return the mean of a reward model's expectations under the evaluated policy.

    As wrong as the model is: the standard error knows of the rows, not of the model's own errors.

    Args:
        predicted_target: `[B]` Σ over actions of their chance under the evaluated policy x the
            predicted reward, finite.

    Raises:
        DataError: there are no rows, or a number is not finite.

    """
    return _unweighted(*_finite(predicted_target=predicted_target))


def doubly_robust(
    reward: Numbers,
    propensity: Numbers,
    target: Numbers,
    predicted: Numbers,
    predicted_target: Numbers,
    *,
    clip: float | None = None,
) -> Estimate:
    """Return the mean of predicted_target + w x (reward - predicted) (Dudík et al. 2011).

    Without bias if the propensities or the model are right; a good model takes away much of the
    variance of `inverse_propensity`. The model must not have seen the rows it predicts here (fit
    it on other rows, or on one half for the other). With `clip` it goes part of the way to
    `direct_method` (Su et al. 2020). Other arguments are those of `inverse_propensity`.

    Args:
        reward: `[B]`, finite.
        propensity: `[B]` in (0, 1].
        target: `[B]` in [0, 1].
        predicted: `[B]` the model's reward of the logged action, finite.
        predicted_target: `[B]` its expectation under the evaluated policy, as in `direct_method`.
        clip: weights above it are cut to it; None leaves all as they are.

    Raises:
        DataError: as `inverse_propensity`, or a prediction is not finite.

    """
    rewards, model, model_target = _finite(
        reward=reward, predicted=predicted, predicted_target=predicted_target
    )
    weights = _weights(propensity, target, clip, len(rewards))
    return weights.estimate(model_target + weights.used * (rewards - model))


def policy_probabilities(scores: NDArray[Any], temperature: float) -> Floats:
    """Return `[B, A]` the chances of a policy that draws by softmax(scores / temperature).

    Temperature 0 is greedy: the highest score is always taken, equal highest ones are equally
    likely. A score of -inf marks an action that a row does not have.

    >>> policy_probabilities(np.array([[1.0, 3.0, 3.0]]), temperature=0).tolist()
    [[0.0, 0.5, 0.5]]

    Args:
        scores: `[B, A]`, each row with a finite one.
        temperature: 0 or more, in units of the scores.

    Raises:
        DataError: `scores` is no matrix, a row is NaN, +inf or has no action, or the temperature
            is negative.

    """
    if not 0.0 <= temperature < math.inf:
        raise DataError(f"temperature: expected a finite number of 0 or more, got {temperature}")
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise DataError(f"scores: expected a matrix [rows, actions], got shape {scores.shape}")
    best = scores.max(axis=1, keepdims=True).astype(np.float64)
    rule = "scores: expected no NaN, no inf and at least one action in each row"
    _refuse(~np.isfinite(best[:, 0]), best[:, 0], rule)
    if temperature == 0.0:
        chances = (scores == best).astype(np.float64)
    else:
        with np.errstate(over="ignore"):  # far below the best: a chance of 0
            chances = np.exp((scores - best) / temperature)
    return chances / chances.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class _Weights:
    """Weights `[B]` as they are used, and what clipping took from them."""

    used: Floats
    largest: float
    clipped: int

    def estimate(self, terms: Floats) -> Estimate:
        """Return the mean of terms `[B]` as a value."""
        size = self.used.sum() ** 2 / np.sum(self.used**2)
        return Estimate(*_mean(terms), float(size), len(terms), self.largest, self.clipped)


def _weights(propensity: Numbers, target: Numbers, clip: float | None, rows: int) -> _Weights:
    _same_length(reward=rows, propensity=len(propensity), target=len(target))
    logged, wanted = (np.asarray(v, dtype=np.float64) for v in (propensity, target))
    rule = "propensity: expected the logged action's chance in (0, 1]"
    _refuse(~((logged > 0.0) & (logged <= 1.0)), logged, rule)
    rule = "target: expected the logged action's chance in [0, 1]"
    _refuse(~((wanted >= 0.0) & (wanted <= 1.0)), wanted, rule)
    weights = wanted / logged
    largest = float(weights.max())
    if largest == 0.0:
        raise DataError(
            f"target: the evaluated policy takes none of the {rows:,} logged actions, so the rows"
            " say nothing of its value; evaluate a policy that the log overlaps with"
        )
    if clip is None:
        return _Weights(weights, largest, 0)
    if not clip > 0.0:
        raise DataError(f"clip: expected the largest weight, above 0, or None, got {clip}")
    return _Weights(np.minimum(weights, clip), largest, int(np.sum(weights > clip)))


def _unweighted(terms: Floats) -> Estimate:
    return Estimate(*_mean(terms), float(len(terms)), len(terms), 1.0, 0)


def _mean(terms: Floats) -> tuple[float, float]:
    """Return the mean and its standard error."""
    rows = len(terms)
    error = float(terms.std(ddof=1)) / math.sqrt(rows) if rows > 1 else math.nan
    return float(terms.mean()), error


def _finite(**columns: Numbers) -> list[Floats]:
    _same_length(**{name: len(values) for name, values in columns.items()})
    arrays = {name: np.asarray(v, dtype=np.float64) for name, v in columns.items()}
    for name, values in arrays.items():
        if len(values) == 0:
            raise DataError(f"{name}: a policy's value needs at least one logged row, got none")
        _refuse(~np.isfinite(values), values, f"{name}: expected a finite number")
    return list(arrays.values())


def _same_length(**lengths: int) -> None:
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise DataError(f"expected one number of each a logged row, got lengths {given}")


def _refuse(wrong: NDArray[np.bool_], values: Floats, rule: str) -> None:
    if bool(wrong.any()):
        row = int(wrong.argmax())
        raise DataError(f"{rule}, got {values[row]} in row {row}, {int(wrong.sum())} such rows")
