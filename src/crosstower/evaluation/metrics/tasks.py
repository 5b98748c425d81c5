"""Metrics of predictions against labels, by the names that recipes use. No torch.

Labels `y` and predictions `p` are arrays `[B]`. Missing labels are NaN: `task_metrics` leaves
them out (`drop_missing`), the other functions expect them gone. A metric that is not defined for
the rows given, such as the AUC of one class, is NaN.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError, RecipeError, did_you_mean
from crosstower.evaluation.metrics.auc import Floats, Groups, group_auc, roc_auc
from crosstower.evaluation.metrics.calibration import calibration_ratio, expected_calibration_error
from crosstower.evaluation.metrics.uncertainty import bias_sds
from crosstower.recipe.tasks import HeadKind

METRIC_DIRECTIONS: dict[str, Literal["higher", "lower"]] = {
    "auc": "higher",
    "gauc": "higher",
    "accuracy": "higher",
    "log_loss": "lower",
    "normalised_entropy": "lower",
    "ece": "lower",
    "mae": "lower",
    "rmse": "lower",
}
"""Which way is better, of every metric that early stopping can watch."""

DEFAULT_METRIC: dict[HeadKind, str] = {"binary": "log_loss", "regression": "rmse", "rating": "rmse"}
"""The metric to watch where the recipe names none: the one nearest to the loss."""

_BINARY: tuple[str, ...] = ("auc", "gauc", "accuracy", "log_loss", "normalised_entropy", "ece")
_NUMBER: tuple[str, ...] = ("mae", "rmse")


def higher_is_better(metric: str, kind: HeadKind) -> bool:
    """Return the direction of a metric that a task of this kind can be watched by.

    Raises:
        RecipeError: the task has no such metric, or it has no better side.

    """
    allowed: list[str] = list(_BINARY if kind == "binary" else _NUMBER)
    if metric not in allowed:
        raise RecipeError(
            f"metric '{metric}': a {kind} task cannot be watched by it"
            f"{did_you_mean(metric, allowed)}; allowed: {', '.join(allowed)}"
        )
    return METRIC_DIRECTIONS[metric] == "higher"


def task_metrics(
    kind: HeadKind, y: Floats, p: Floats, groups: Groups | None = None
) -> dict[str, float]:
    """Return the metrics of one task over its rows with a label.

    `groups` adds the gAUC of a binary task; a regression or rating has none.

    Raises:
        DataError: lengths differ, a prediction is not finite, or a label or a prediction is
            outside the range of its kind.

    """
    y, p, groups = drop_missing(y, p, groups)
    return binary_metrics(y, p, groups=groups) if kind == "binary" else regression_metrics(y, p)


def drop_missing(
    y: Floats, p: Floats, groups: Groups | None = None
) -> tuple[Floats, Floats, Groups | None]:
    """Return labels, predictions and groups of the rows whose label is not NaN.

    Raises:
        DataError: the lengths differ.

    """
    _check_lengths(y, p, groups)
    known = ~np.isnan(y)
    if bool(known.all()):
        return y, p, groups
    if isinstance(groups, pl.Series):
        return y[known], p[known], groups.filter(pl.Series(known))
    return y[known], p[known], None if groups is None else groups[known]


def binary_metrics(y: Floats, p: Floats, *, groups: Groups | None = None) -> dict[str, float]:
    """Return the metrics of probabilities `p` in [0, 1] against labels `y` of 0 or 1.

    `auc`, `log_loss` (nats), `normalised_entropy`, `ece`, `accuracy` at 0.5 beside
    `majority_rate` (the accuracy of always answering the more frequent class),
    `calibration_ratio`, `bias_sds` (mean prediction - mean label in standard errors), `base_rate`,
    and with `groups` the `gauc`.

    Raises:
        DataError: lengths differ, a label is neither 0 nor 1, or a prediction is no probability.

    """
    _check_lengths(y, p, groups)
    _check_binary(y, p)
    base_rate = float(np.mean(y, dtype=np.float64)) if len(y) else math.nan
    metrics = {
        "auc": roc_auc(y, p),
        "log_loss": log_loss(y, p),
        "normalised_entropy": normalised_entropy(y, p),
        "ece": expected_calibration_error(y, p),
        "accuracy": _share((p >= 0.5) == (y == 1)),
        "majority_rate": max(base_rate, 1.0 - base_rate),
        "calibration_ratio": calibration_ratio(y, p),
        "bias_sds": bias_sds(y, p, probabilities=True),
        "base_rate": base_rate,
    }
    if groups is not None:
        metrics["gauc"] = group_auc(y, p, groups).value
    return metrics


def regression_metrics(y: Floats, p: Floats) -> dict[str, float]:
    """Return `mae` and `rmse` in the unit of the label, beside `rmse_of_mean`.

    `rmse_of_mean` is the RMSE of always answering the mean of these labels: a model that does not
    get below it has learnt nothing. `mean_label` and `mean_prediction` show a bias, and `bias_sds`
    gives it in standard errors.

    Raises:
        DataError: lengths differ, or a prediction or label is not finite.

    """
    _check_lengths(y, p, None)
    _check_finite(y, p)
    names = ("mae", "rmse", "rmse_of_mean", "mean_label", "mean_prediction", "bias_sds")
    if len(y) == 0:
        return dict.fromkeys(names, math.nan)
    y, p = y.astype(np.float64), p.astype(np.float64)
    mean = float(y.mean())
    sds = bias_sds(y, p, probabilities=False)
    spread = float(y.std()) if y.min() < y.max() else 0.0  # of equal labels a rounding error
    values = (mae(y, p), rmse(y, p), spread, mean, float(p.mean()), sds)
    return dict(zip(names, values, strict=True))


def mae(y: Floats, p: Floats) -> float:
    """Return the mean absolute error, in the unit of the label; NaN without rows."""
    return float(np.mean(np.abs(y - p), dtype=np.float64)) if len(y) else math.nan


def rmse(y: Floats, p: Floats) -> float:
    """Return the root of the mean squared error, in the unit of the label; NaN without rows."""
    return math.sqrt(np.mean((y - p) ** 2, dtype=np.float64)) if len(y) else math.nan


def log_loss(y: Floats, p: Floats) -> float:
    """Return the mean negative log likelihood in nats; NaN without rows.

    Probabilities are clipped to [eps, 1 - eps], eps the machine epsilon of their type (2.2e-16
    for float64, 1.2e-7 for float32), so that a sure and wrong answer costs 36 or 16 nats.
    """
    if len(y) == 0:
        return math.nan
    eps = np.finfo(p.dtype).eps
    likelihood = np.where(y == 1, p, 1 - p).clip(eps, 1 - eps)
    return -float(np.mean(np.log(likelihood), dtype=np.float64))


def normalised_entropy(y: Floats, p: Floats) -> float:
    """Return the log loss divided by that of always answering the base rate.

    He et al. 2014, "Practical Lessons from Predicting Clicks on Ads at Facebook", eq. 1. Below 1
    beats the base rate. NaN where the labels hold one class only.
    """
    rate = float(np.mean(y, dtype=np.float64)) if len(y) else 0.0
    if rate in (0.0, 1.0):
        return math.nan
    return log_loss(y, p) / -(rate * math.log(rate) + (1.0 - rate) * math.log1p(-rate))


def _share(right: NDArray[np.bool_]) -> float:
    return float(np.mean(right)) if len(right) else math.nan


def _check_lengths(y: Floats, p: Floats, groups: Groups | None) -> None:
    lengths = {"labels": len(y), "predictions": len(p)}
    if groups is not None:
        lengths["groups"] = len(groups)
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{n} {name}" for name, n in lengths.items())
        raise DataError(f"metrics need one prediction a label, got {given}; pass the same rows")


def _check_finite(y: Floats, p: Floats) -> None:
    for name, values in (("label", y), ("prediction", p)):
        _refuse(~np.isfinite(values), values, f"expected a finite {name}")


def _check_binary(y: Floats, p: Floats) -> None:
    _refuse((y != 0) & (y != 1), y, "expected a label of 0 or 1 (drop_missing removes NaN)")
    _refuse(~((p >= 0) & (p <= 1)), p, "expected a probability in [0, 1], not a logit")


def _refuse(wrong: NDArray[Any], values: Floats, rule: str) -> None:
    if bool(wrong.any()):
        row = int(wrong.argmax())
        raise DataError(f"{rule}, got {values[row]} in row {row}, {int(wrong.sum())} such rows")
