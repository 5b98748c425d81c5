"""Metrics of probabilities against labels of 0 or 1. No torch."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from crosstower.evaluation.metrics.calibration import calibration_ratio, expected_calibration_error
from crosstower.evaluation.metrics.registry import Floats, LabelledPredictions, register_metric
from crosstower.evaluation.metrics.values import mean_of

Float = TypeVar("Float", bound=np.floating[Any])


def log_losses(y: Floats, p: NDArray[Float]) -> NDArray[Float]:
    """Return the negative log likelihood of each label in nats; `log_loss` is their mean.

    >>> log_losses(np.array([1, 0]), np.array([0.5, 0.2])).round(4).tolist()
    [0.6931, 0.2231]

    Args:
        y: labels `[B]`, 0 or 1; or `[B, 1]`.
        p: probabilities `[B]`; or `[B, M]` of M models.

    """
    eps = np.finfo(p.dtype).eps
    return -np.log(np.where(y == 1, p, 1 - p).clip(eps, 1 - eps))


def log_loss(y: Floats, p: Floats) -> float:
    """Return the mean negative log likelihood in nats; NaN without rows.

    Probabilities are clipped to [eps, 1 - eps], eps the machine epsilon of their type (2.2e-16
    for float64, 1.2e-7 for float32), so that a certain and wrong prediction costs 36 or 16 nats.

    >>> round(log_loss(np.array([1, 0]), np.array([0.5, 0.5])), 4)
    0.6931

    Args:
        y: labels `[B]`, 0 or 1.
        p: probabilities `[B]`.

    """
    return mean_of(log_losses(y, p))


def normalised_entropy(y: Floats, p: Floats) -> float:
    """Return the log loss divided by that of always predicting the base rate.

    He et al. 2014, "Practical Lessons from Predicting Clicks on Ads at Facebook", eq. 1. A value
    below 1 is better than the base rate. NaN if all labels are of one class.

    >>> normalised_entropy(np.array([1, 0]), np.array([0.5, 0.5]))
    1.0

    Args:
        y: labels `[B]`, 0 or 1.
        p: probabilities `[B]`.

    """
    rate = float(np.mean(y, dtype=np.float64)) if len(y) else 0.0
    if rate in (0.0, 1.0):
        return math.nan
    return log_loss(y, p) / -(rate * math.log(rate) + (1.0 - rate) * math.log1p(-rate))


def majority_rate(y: Floats) -> float:
    """Return the accuracy of always predicting the more frequent class; NaN without rows.

    >>> majority_rate(np.array([0, 0, 0, 1]))
    0.75

    Args:
        y: labels `[B]`, 0 or 1.

    """
    rate = mean_of(y)
    return max(rate, 1.0 - rate)


@register_metric(
    "log_loss",
    kinds=("binary",),
    title="Log loss",
    better="lower",
    shown=("report", "table", "card", "curve"),
)
def _log_loss(rows: LabelledPredictions) -> float:
    return log_loss(rows.labels, rows.predictions)


@register_metric(
    "normalised_entropy",
    kinds=("binary",),
    title="Normalised entropy",
    better="lower",
    shown=("report",),
)
def _normalised_entropy(rows: LabelledPredictions) -> float:
    return normalised_entropy(rows.labels, rows.predictions)


@register_metric("ece", kinds=("binary",), title="ECE", better="lower")
def _ece(rows: LabelledPredictions) -> float:
    return expected_calibration_error(rows.labels, rows.predictions)


@register_metric(
    "accuracy", kinds=("binary",), title="Accuracy", better="higher", shown=("report", "table")
)
def _accuracy(rows: LabelledPredictions) -> float:
    return mean_of(((rows.predictions >= 0.5) == (rows.labels == 1)).astype(np.float64))


@register_metric("majority_rate", kinds=("binary",), title="Majority class", shown=("report",))
def _majority_rate(rows: LabelledPredictions) -> float:
    return majority_rate(rows.labels)


@register_metric(
    "calibration_ratio",
    kinds=("binary",),
    title="Predicted / observed",
    shown=("report", "card"),
)
def _calibration_ratio(rows: LabelledPredictions) -> float:
    return calibration_ratio(rows.labels, rows.predictions)


@register_metric("base_rate", kinds=("binary",), title="Base rate", shown=())
def _base_rate(rows: LabelledPredictions) -> float:
    return mean_of(rows.labels)
