"""Metrics in which each row has the sample weight of its task. No torch."""

from __future__ import annotations

import math

import numpy as np

from crosstower.evaluation.metrics.binary import log_losses
from crosstower.evaluation.metrics.registry import (
    Floats,
    LabelledPredictions,
    MetricKind,
    register_metric,
)

_NUMBERS: tuple[MetricKind, ...] = ("regression", "rating")


def weighted_mean(values: Floats, weights: Floats) -> float:
    """Return Σ w·v / Σ w in float64; NaN if the weights sum to 0.

    >>> weighted_mean(np.array([1.0, 3.0]), np.array([3.0, 1.0]))
    1.5

    Args:
        values: `[B]`.
        weights: `[B]`, 0 or more.

    """
    total = float(np.sum(weights, dtype=np.float64))
    return float(np.dot(values.astype(np.float64), weights)) / total if total > 0.0 else math.nan


def weighted_auc(y: Floats, p: Floats, weights: Floats) -> float:
    """Return the AUC in which a pair of rows counts by the product of their weights.

    It is NaN if the positives or the negatives have no weight. A tie counts half.

    >>> y, p = np.array([0, 0, 1]), np.array([0.1, 0.9, 0.5])
    >>> weighted_auc(y, p, np.array([3.0, 1.0, 2.0]))
    0.75

    Args:
        y: labels `[B]`, 0 or 1.
        p: scores `[B]`, finite; only their order counts.
        weights: `[B]`, 0 or more.

    """
    place = np.unique(p, return_inverse=True)[1]
    positive, negative = (np.bincount(place, weights * (y == label)) for label in (1, 0))
    pairs = positive.sum() * negative.sum()
    if pairs == 0.0:
        return math.nan
    below = np.cumsum(negative) - negative / 2.0
    return float(np.dot(positive, below) / pairs)


@register_metric(
    "weighted_log_loss",
    kinds=("binary",),
    title="Weighted log loss",
    better="lower",
    shown=("report", "table", "curve"),
    weighted=True,
)
def _weighted_log_loss(rows: LabelledPredictions) -> float:
    if rows.weights is None:
        return math.nan
    return weighted_mean(log_losses(rows.labels, rows.predictions), rows.weights)


@register_metric(
    "weighted_auc",
    kinds=("binary",),
    title="Weighted AUC",
    better="higher",
    shown=("report", "table"),
    weighted=True,
)
def _weighted_auc(rows: LabelledPredictions) -> float:
    if rows.weights is None:
        return math.nan
    return weighted_auc(rows.labels, rows.predictions, rows.weights)


@register_metric(
    "weighted_rmse",
    kinds=_NUMBERS,
    title="Weighted RMSE",
    better="lower",
    shown=("report", "table", "curve"),
    weighted=True,
)
def _weighted_rmse(rows: LabelledPredictions) -> float:
    if rows.weights is None:
        return math.nan
    return math.sqrt(weighted_mean((rows.labels - rows.predictions) ** 2, rows.weights))
