"""How far a metric would move with another sample of test rows. No torch."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.evaluation.metrics.registry import Floats, LabelledPredictions, register_metric

Ranks = NDArray[np.float64]


def auc_standard_error(auc: float, *, positives: int, negatives: int) -> float:
    """Return the standard error of an AUC from its value and the class counts.

    Hanley & McNeil 1982, "The Meaning and Use of the Area under a ROC Curve", eq. 1. NaN if a class
    is empty.

    >>> round(auc_standard_error(0.75, positives=100, negatives=900), 4)
    0.0291

    Args:
        auc: in [0, 1].
        positives: number of rows with label 1.
        negatives: number of rows with label 0.

    """
    if positives < 1 or negatives < 1:
        return math.nan
    two_positives = auc / (2.0 - auc) - auc**2
    two_negatives = 2.0 * auc**2 / (1.0 + auc) - auc**2
    variance = auc * (1.0 - auc)
    variance += (positives - 1) * two_positives + (negatives - 1) * two_negatives
    return math.sqrt(max(variance, 0.0) / (positives * negatives))


def auc_difference_error(y: Floats, a: Floats, b: Floats) -> float:
    """Return the standard error of AUC(a) - AUC(b), both scores of the same rows.

    DeLong et al. 1988, by the ranks of Sun & Xu 2014. It is much smaller than the standard error of
    either AUC, because both models score the same easy and hard rows. NaN with fewer than two rows
    of a class.

    >>> y, a = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    >>> auc_difference_error(y, a, a)
    0.0

    Args:
        y: labels `[B]`, 0 or 1.
        a: scores `[B]` of one model.
        b: scores `[B]` of the other.

    """
    if min(np.sum(y == 1), np.sum(y == 0)) < 2:
        return math.nan
    parts = zip(_placements(y, a), _placements(y, b), strict=True)
    return math.sqrt(sum(float(np.var(u - v, ddof=1)) / len(u) for u, v in parts))


def rmse_difference_error(y: Floats, a: Floats, b: Floats) -> float:
    """Return the standard error of RMSE(a) - RMSE(b), both predictions of the same rows.

    From the paired squared errors: RMSE(a) - RMSE(b) = (MSE(a) - MSE(b)) / (RMSE(a) + RMSE(b)),
    whose denominator hardly varies. NaN with fewer than two rows; 0 if both are perfect.

    >>> y, a = np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 2.0])
    >>> rmse_difference_error(y, a, a)
    0.0

    Args:
        y: labels `[B]`.
        a: predictions `[B]` of one model.
        b: predictions `[B]` of the other.

    """
    if len(y) < 2:
        return math.nan
    squares = [(p.astype(np.float64) - y) ** 2 for p in (a, b)]
    scale = sum(math.sqrt(s.mean()) for s in squares)
    error = float(np.std(squares[0] - squares[1], ddof=1)) / math.sqrt(len(y))
    return error / scale if scale > 0.0 else 0.0


def mean_error(y: Floats, p: Floats, *, probabilities: bool) -> float:
    """Return the standard error of mean(p) - mean(y), if the predictions are right on average.

    From the differences row by row, which predictions and labels of the same rows have in common;
    rows count as independent. For probabilities it is at least that of labels drawn by them,
    √(Σ p·(1 - p)) / B, as few rows of a rare event may hold none. NaN with fewer than two rows.
    """
    if len(y) < 2:
        return math.nan
    p = p.astype(np.float64)
    variance = float(np.var(p - y, ddof=1))
    if probabilities:
        variance = max(variance, float(np.mean(p * (1.0 - p))))
    return math.sqrt(variance / len(y))


def bias_sds(y: Floats, p: Floats, *, probabilities: bool) -> float:
    """Return mean(p) - mean(y) in standard errors (`mean_error`); beyond 2 it is significant.

    0 where all predictions are right, infinite where all are wrong by the same amount, NaN with
    fewer than two rows.
    """
    if len(y) < 2:
        return math.nan
    bias = float(np.mean(p, dtype=np.float64) - np.mean(y, dtype=np.float64))
    error = mean_error(y, p, probabilities=probabilities)
    if error <= 1e-12 * abs(bias):
        return math.copysign(math.inf, bias) if bias else 0.0
    return bias / error


@register_metric(
    "bias_sds", kinds=("binary", "regression", "rating"), title="Bias (sd)", shown=("report",)
)
def _bias_sds(rows: LabelledPredictions) -> float:
    y, p = rows.labels, rows.predictions
    if rows.kind == "binary":
        return bias_sds(y, p, probabilities=True)
    return bias_sds(y.astype(np.float64), p.astype(np.float64), probabilities=False)


def _placements(y: Floats, p: Floats) -> tuple[Ranks, Ranks]:
    """Return each positive's share of negatives below it, each negative's of positives above."""
    positive = y == 1
    ranks = _ranks(p)
    above = (ranks[positive] - _ranks(p[positive])) / np.sum(~positive)
    below = 1.0 - (ranks[~positive] - _ranks(p[~positive])) / np.sum(positive)
    return above, below


def _ranks(p: Floats) -> Ranks:
    return pl.Series(p).rank("average").to_numpy()
