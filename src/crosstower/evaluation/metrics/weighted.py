"""Metrics in which each row has the sample weight of its task. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from crosstower.evaluation.metrics.binary import log_losses
from crosstower.evaluation.metrics.registry import (
    Floats,
    LabelledPredictions,
    MetricKind,
    register_metric,
)
from crosstower.values.arrays import Indices

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
    return cluster_auc(y, p, np.arange(len(y)))(weights)


def cluster_auc(y: Floats, p: Floats, clusters: Indices) -> Callable[[Floats], float]:
    """Return `weighted_auc` as a function of the weights of clusters `[G]`; rows are sorted once.

    Args:
        y: labels `[B]`, 0 or 1.
        p: scores `[B]`, finite; only their order counts.
        clusters: `[B]`, number of each row's cluster from 0.

    """
    order = np.argsort(p, kind="stable")
    cluster, positive = clusters[order], (y[order] == 1).astype(np.float64)
    first = np.append(True, np.diff(p[order]) != 0.0)
    starts = None if first.all() else np.flatnonzero(first)  # of runs of equal scores

    def of(weights: Floats) -> float:
        rows = weights[cluster]
        above = rows * positive
        below = rows - above
        if starts is not None:
            above, below = np.add.reduceat(above, starts), np.add.reduceat(below, starts)
        pairs = above.sum() * below.sum()
        if pairs == 0.0:
            return math.nan
        return float(above @ (np.cumsum(below) - below / 2.0) / pairs)

    return of


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
