"""Metrics of numbers against numbers, in the unit of the label. No torch."""

from __future__ import annotations

import math

import numpy as np

from crosstower.evaluation.metrics.registry import (
    Floats,
    LabelledPredictions,
    MetricKind,
    register_metric,
)
from crosstower.evaluation.metrics.values import mean_of

_NUMBERS: tuple[MetricKind, ...] = ("regression", "rating")


def rmse(y: Floats, p: Floats) -> float:
    """Return the root mean squared error, in the unit of the label; NaN without rows.

    >>> rmse(np.array([1.0, 2.0]), np.array([1.0, 4.0])) ** 2
    2.0000000000000004

    Args:
        y: labels `[B]`.
        p: predictions `[B]`.

    """
    return math.sqrt(mse(y, p))


def mse(y: Floats, p: Floats) -> float:
    """Return the mean squared error, in the squared unit of the label; NaN without rows.

    >>> mse(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    2.0

    Args:
        y: labels `[B]`.
        p: predictions `[B]`.

    """
    return float(np.mean((y - p) ** 2, dtype=np.float64)) if len(y) else math.nan


def mae(y: Floats, p: Floats) -> float:
    """Return the mean absolute error, in the unit of the label; NaN without rows.

    >>> mae(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.0

    Args:
        y: labels `[B]`.
        p: predictions `[B]`.

    """
    return float(np.mean(np.abs(y - p), dtype=np.float64)) if len(y) else math.nan


@register_metric(
    "rmse",
    kinds=_NUMBERS,
    title="RMSE",
    better="lower",
    shown=("report", "table", "card", "curve"),
)
def _rmse(rows: LabelledPredictions) -> float:
    return rmse(rows.labels.astype(np.float64), rows.predictions.astype(np.float64))


@register_metric("mse", kinds=_NUMBERS, title="MSE", better="lower")
def _mse(rows: LabelledPredictions) -> float:
    return mse(rows.labels.astype(np.float64), rows.predictions.astype(np.float64))


@register_metric("mae", kinds=_NUMBERS, title="MAE", better="lower")
def _mae(rows: LabelledPredictions) -> float:
    return mae(rows.labels.astype(np.float64), rows.predictions.astype(np.float64))


@register_metric("rmse_of_mean", kinds=_NUMBERS, title="RMSE of the mean", shown=())
def _rmse_of_mean(rows: LabelledPredictions) -> float:
    """RMSE of always predicting the mean label: a model above it has learned nothing."""
    y = rows.labels.astype(np.float64)
    if len(y) == 0:
        return math.nan
    return float(y.std()) if y.min() < y.max() else 0.0  # of equal labels a rounding error


@register_metric("mean_prediction", kinds=_NUMBERS, title="Mean prediction", shown=("report",))
def _mean_prediction(rows: LabelledPredictions) -> float:
    return mean_of(rows.predictions)


@register_metric("mean_label", kinds=_NUMBERS, title="Mean label", shown=("report",))
def _mean_label(rows: LabelledPredictions) -> float:
    return mean_of(rows.labels)
