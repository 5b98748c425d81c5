"""Verdicts: the meaning of the metrics in plain sentences. No torch.

In every sentence ± and 'sd' are the noise of the number by chance: the spread over seeds and the
sampling error of the finite test set together. Two of them are the border between a finding and
none.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from crosstower.evaluation.metrics.summary import Difference, Summary
from crosstower.evaluation.metrics.uncertainty import auc_standard_error

_TITLES = {"auc": "AUC", "rmse": "RMSE"}


def auc_verdict(auc: Summary, *, positives: int, negatives: int) -> str:
    """Say whether an AUC is better than chance.

    >>> auc_verdict(Summary(0.512), positives=1000, negatives=1000)
    'AUC 0.512 ± 0.013 is no better than chance (0.5).'
    """
    if positives + negatives == 0:
        return "AUC is not defined: no row has a label."
    if positives == 0 or negatives == 0:
        label = 1 if positives else 0
        return (
            f"AUC is not defined: all {positives + negatives:,} labels are {label};"
            " it needs rows of both classes."
        )
    error = auc_standard_error(auc.mean, positives=positives, negatives=negatives)
    noise = math.hypot(auc.sd or 0.0, error)
    given = f"AUC {auc.mean:.3f} ± {_digits(noise)}"
    if abs(auc.mean - 0.5) <= 2.0 * noise:
        return f"{given} is no better than chance (0.5)."
    if auc.mean < 0.5:
        return f"{given} is worse than chance (0.5): the scores rank backwards."
    return f"{given} is better than chance (0.5)."


def accuracy_verdict(accuracy: Summary, *, majority_rate: float, rows: int) -> str:
    """Say whether an accuracy, over `rows` > 0 rows, beats always predicting the majority class.

    >>> accuracy_verdict(Summary(0.891), majority_rate=0.891, rows=10_000)
    'Accuracy 0.891 equals the majority class (0.891): the model has learned nothing that accuracy
     shows.'
    """
    given, gap = f"Accuracy {accuracy.mean:.3f}", accuracy.mean - majority_rate
    # Both rates count the same rows, so the binomial error overstates the noise: a finding is safe.
    error = math.sqrt(accuracy.mean * (1.0 - accuracy.mean) / rows)
    if abs(gap) < 0.0005:
        return (
            f"{given} equals the majority class ({majority_rate:.3f}): the model has learned"
            " nothing that accuracy shows."
        )
    if abs(gap) <= 2.0 * math.hypot(accuracy.sd or 0.0, error):
        return f"{given} is no better than the majority class ({majority_rate:.3f})."
    side = "beats" if gap > 0 else "is below"
    return f"{given} {side} the majority class ({majority_rate:.3f})."


def mean_verdict(
    predicted: float, observed: float, *, error: float, worst: float, percent: bool
) -> str:
    """Say whether predictions are right on average.

    A bias beyond two standard errors is always reported. Within them it may be chance: the
    sentence then says so, and how large a bias the rows could hide if that is beyond a tenth.

    Args:
        predicted: mean prediction over rows and seeds.
        observed: mean label.
        error: standard error of their difference, see `uncertainty.mean_error`.
        worst: largest bias of a single seed, in its own standard errors.
        percent: the numbers are probabilities.

    >>> mean_verdict(0.056, 0.05, error=0.001, worst=6.0, percent=True)
    'Predicts 5.60 % on average where 5.00 % was observed: 12 % too much (6.0 sd).'

    """
    shown, bias = (_percents if percent else _digits), predicted - observed
    given = f"Predicts {shown(predicted)} on average where {shown(observed)} was observed"
    if math.isnan(error):
        return f"{given}, in one row: too few for a verdict."
    if abs(bias) > 2.0 * error:
        noise = f"{abs(bias) / error:.1f} sd" if error > 0.0 else "no noise"
        size = _share(abs(bias), observed, shown)
        return f"{given}: {size} too {'much' if bias > 0 else 'little'} ({noise})."
    if abs(worst) > 2.0:
        return f"{given}: right over all seeds, but one seed is {abs(worst):.1f} sd off."
    if 2.0 * error > 0.1 * abs(observed):
        limit = _share(2.0 * error, observed, shown)
        return f"{given}: no bias beyond the noise, which hides one of up to {limit}."
    return f"{given}: right on average."


def _share(size: float, observed: float, shown: Callable[[float], str]) -> str:
    """Return a size as a share of the observed mean; as it is if that is 0."""
    if observed == 0.0:
        return shown(size)
    share = size / abs(observed)
    return _percent(share, 0 if share >= 0.1 else 1 if share >= 0.001 else 3)


def rmse_verdict(versus_mean: Difference, *, rmse: Summary, rmse_of_mean: float) -> str:
    """Say whether predictions of a number beat always predicting its mean.

    >>> gain = Difference("rmse", value=-0.10, noise=0.01)
    >>> rmse_verdict(gain, rmse=Summary(0.90), rmse_of_mean=1.0)
    'RMSE 0.900 ± 0.010 is 10 % below always predicting the mean (1.000).'
    """
    given = f"RMSE {rmse.mean:.3f} ± {_digits(versus_mean.noise)}"
    if rmse_of_mean <= 1e-12 * rmse.mean:
        return (
            f"{given}: all labels are equal, so nothing can be better than predicting their mean."
        )
    if not versus_mean.is_real:
        return f"{given} is no better than always predicting the mean ({rmse_of_mean:.3f})."
    share = _percent(abs(versus_mean.value) / rmse_of_mean)
    side = "below" if versus_mean.value < 0 else "above"
    return f"{given} is {share} {side} always predicting the mean ({rmse_of_mean:.3f})."


def baseline_verdict(model: str, baseline: str, lift: Difference) -> str:
    """Say whether a model beats a baseline.

    >>> baseline_verdict("DCN-V2", "logistic regression", Difference("auc", 0.0124, 0.004))
    'DCN-V2 beats logistic regression by 0.012 AUC (3.1 sd).'
    """
    size = f"{_digits(abs(lift.value))} {_TITLES.get(lift.metric, lift.metric)}"
    sds = f"{abs(lift.sds):.1f} sd" if math.isfinite(lift.sds) else "no noise"
    if not lift.is_real:
        side = "lower" if lift.value < 0 else "higher"
        return f"{model} is no better than the {baseline} baseline ({size} {side}, {sds})."
    if lift.gain > 0:
        return f"{model} beats {baseline} by {size} ({sds})."
    return f"{model} is worse than the {baseline} baseline by {size} ({sds})."


def best_verdict(model: str, to_best: Difference, *, best: float) -> str:
    """Say how far a model is from the best possible value, known for simulated data.

    >>> best_verdict("DCN-V2", Difference("auc", -0.004, 0.001), best=0.657)
    'DCN-V2 is 0.004 below the best possible AUC 0.657.'
    """
    name = f"the best possible {_TITLES.get(to_best.metric, to_best.metric)} {best:.3f}"
    size = _digits(abs(to_best.value))
    if not to_best.is_real:
        return f"{model} reaches {name}: the rest ({size}) is noise."
    if to_best.gain > 0:
        return f"{model} is {size} better than {name}: look for a label among its inputs."
    return f"{model} is {size} {'below' if to_best.value < 0 else 'above'} {name}."


def _digits(value: float) -> str:
    """Return three decimals, or the first digit that is not 0 where three would show 0.000."""
    return f"{value:.3f}" if value == 0.0 or abs(value) >= 0.0005 else f"{value:.1g}"


def _percents(value: float) -> str:
    return _percent(value, 2)


def _percent(share: float, digits: int = 0) -> str:
    return f"{100.0 * share:.{digits}f} %"
