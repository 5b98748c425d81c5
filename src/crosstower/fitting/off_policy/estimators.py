"""Off-policy estimators: the value of a policy, estimated from another policy's log. No torch.

Shapes: B logged rows, A actions. A row has a reward and the probabilities of its action under the
logging policy (`propensity`) and under the evaluated policy (`target`). Its weight w is
target / propensity. A value is a mean reward per row, in units of the reward.

Every estimate needs overlap: the logging policy must take each action of the evaluated policy with
a probability above 0. A log in which all weights are 0 is an error.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import DataError, QueryError
from crosstower.evaluation.metrics.values import refuse
from crosstower.fitting.off_policy.importance import (
    Estimate,
    Groups,
    Numbers,
    finite,
    unweighted,
    weights_of,
)
from crosstower.fitting.off_policy.shrinkage import shrunk_doubly_robust, switch_doubly_robust
from crosstower.values.arrays import Floats


def all_estimates(
    reward: Numbers,
    propensity: Numbers,
    target: Numbers,
    *,
    predicted: Numbers | None = None,
    predicted_target: Numbers | None = None,
    refits: NDArray[Any] | None = None,
    clip: float | None = None,
    groups: Groups = None,
) -> dict[str, Estimate]:
    """Return all estimates by name; `logged` is the value of the logging policy.

    Those that need a reward model are included if `predicted` and `predicted_target` are given:
    `direct_method`, `doubly_robust`, `switch_doubly_robust` and `shrunk_doubly_robust`, whose
    parameters are chosen by `shrinkage.chosen_parameter`. `refits` is passed to `direct_method`;
    `clip` limits the weights of the estimators without a parameter. Other arguments are those of
    `doubly_robust`.
    """
    logged = (reward, propensity, target)
    found = {
        "logged": on_policy(reward, groups),
        "inverse_propensity": inverse_propensity(*logged, clip=clip, groups=groups),
        "self_normalised": self_normalised(*logged, clip=clip, groups=groups),
    }
    if predicted is None and predicted_target is None:
        return found
    if predicted is None or predicted_target is None:
        raise DataError(
            "reward model: expected predicted (of the logged action) and predicted_target (mean"
            " over the evaluated policy), got one of them; give both or neither"
        )
    found["direct_method"] = direct_method(predicted_target, refits, groups)
    modelled = (*logged, predicted, predicted_target)
    found["doubly_robust"] = doubly_robust(*modelled, clip=clip, groups=groups)
    found["switch_doubly_robust"] = switch_doubly_robust(*modelled, groups=groups)
    found["shrunk_doubly_robust"] = shrunk_doubly_robust(*modelled, groups=groups)
    return found


def on_policy(reward: Numbers, groups: Groups = None) -> Estimate:
    """Return the value of the policy that logged the rows: the mean of `reward` `[B]`.

    Raises:
        DataError: there are no rows, or a reward is not finite.

    """
    (rewards,) = finite(reward=reward)
    return unweighted(rewards, groups)


def inverse_propensity(
    reward: Numbers,
    propensity: Numbers,
    target: Numbers,
    *,
    clip: float | None = None,
    groups: Groups = None,
) -> Estimate:
    """Return the mean of w x reward (Horvitz & Thompson 1952).

    Without bias if the propensities are right, but with a large variance where weights are large.
    Clipped weights (Ionides 2008) lower the variance and pull the value of rewards >= 0 down.

    Args:
        reward: `[B]`, finite: clicks, money; rows whose reward is missing must be gone.
        propensity: `[B]` chance of the logged action under the logging policy, in (0, 1].
        target: `[B]` chance of the logged action under the evaluated policy, in [0, 1].
        clip: weights above it are cut to it; None leaves all as they are.
        groups: number of each row's group, such as its list; the standard error allows for
            dependence within groups.

    Raises:
        DataError: there are no rows, lengths differ, a number is out of its range, or all weights
            are 0: the evaluated policy never takes a logged action.

    """
    (rewards,) = finite(reward=reward)
    weights = weights_of(propensity, target, clip, len(rewards))
    return weights.estimate(weights.used * rewards, groups)


def self_normalised(
    reward: Numbers,
    propensity: Numbers,
    target: Numbers,
    *,
    clip: float | None = None,
    groups: Groups = None,
) -> Estimate:
    """Return Σ(w x reward) / Σw (Swaminathan & Joachims 2015).

    It stays in the range of the rewards and adding a constant to them shifts it by just that; its
    bias falls as 1 / B. The standard error is that of the delta method: of the mean of
    w x (reward - value), divided by the mean weight. Arguments and errors are those of
    `inverse_propensity`.
    """
    (rewards,) = finite(reward=reward)
    weights = weights_of(propensity, target, clip, len(rewards))
    share = weights.used / weights.used.mean()
    value = float(np.mean(share * rewards))
    return weights.estimate(value + share * (rewards - value), groups)


def direct_method(
    predicted_target: Numbers, refits: NDArray[Any] | None = None, groups: Groups = None
) -> Estimate:
    """Return the mean of a reward model's expectations under the evaluated policy.

    As biased as the model is. Its standard error is known only from `refits`: the variance of the
    mean over rows plus that over models that were trained again, each on rows drawn with
    replacement from the training rows (the bootstrap, Efron 1979). It covers what the model learned
    from too few rows, not what its form cannot express; `doubly_robust` shows the latter.

    Args:
        predicted_target: `[B]` Σ over actions of their chance under the evaluated policy x the
            predicted reward, finite.
        refits: `[M, B]` the same of M models trained again, at least two; 20 or more are of use.
        groups: as in `inverse_propensity`.

    Raises:
        DataError: there are no rows, a number is not finite, or `refits` has another shape.

    """
    (expected,) = finite(predicted_target=predicted_target)
    found = unweighted(expected, groups)
    if refits is None:
        return replace(found, standard_error=math.nan)
    models = np.asarray(refits, dtype=np.float64)
    if models.ndim != 2 or models.shape[0] < 2 or models.shape[1] != len(expected):
        raise DataError(
            f"refits: expected [M, {len(expected)}] with M of at least 2, got {list(models.shape)}"
        )
    refuse(~np.isfinite(models.ravel()), models.ravel(), "refits: expected a finite number")
    error = math.hypot(found.standard_error, float(models.mean(axis=1).std(ddof=1)))
    return replace(found, standard_error=error)


def doubly_robust(
    reward: Numbers,
    propensity: Numbers,
    target: Numbers,
    predicted: Numbers,
    predicted_target: Numbers,
    *,
    clip: float | None = None,
    groups: Groups = None,
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
        groups: number of each row's group, such as its list; the standard error allows for
            dependence within groups.

    Raises:
        DataError: as `inverse_propensity`, or a prediction is not finite.

    """
    rewards, model, model_target = finite(
        reward=reward, predicted=predicted, predicted_target=predicted_target
    )
    weights = weights_of(propensity, target, clip, len(rewards))
    return weights.estimate(model_target + weights.used * (rewards - model), groups)


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
        DataError: `scores` is not a matrix, or a row is NaN, +inf or has no action.
        QueryError: the temperature is negative, or not a finite number.

    """
    if not 0.0 <= temperature < math.inf:
        raise QueryError(f"temperature: expected a finite number of 0 or more, got {temperature}")
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise DataError(f"scores: expected a matrix [rows, actions], got shape {scores.shape}")
    best = scores.max(axis=1, keepdims=True).astype(np.float64)
    rule = "scores: expected no NaN, no inf and at least one action in each row"
    refuse(~np.isfinite(best[:, 0]), best[:, 0], rule)
    if temperature == 0.0:
        chances = (scores == best).astype(np.float64)
    else:
        with np.errstate(over="ignore"):  # far below the best: a chance of 0
            chances = np.exp((scores - best) / temperature)
    return chances / chances.sum(axis=1, keepdims=True)
