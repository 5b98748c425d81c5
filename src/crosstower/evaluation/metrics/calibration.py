"""Calibration: do rows predicted at 10 % come true one time in ten? NumPy only, no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import DataError
from crosstower.recipe.arguments import count_of

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ReliabilityCurve:
    """Mean predictions and mean labels per bin of predictions, in ascending order.

    Empty bins are omitted.

    >>> curve = reliability_curve(np.array([0, 1, 1]), np.array([0.1, 0.8, 0.9]), n_bins=2)
    >>> curve.observed.tolist(), curve.count.tolist()
    ([0.5, 1.0], [2, 1])

    Args:
        prediction: `[bins]`, mean prediction.
        observed: `[bins]`, mean label.
        count: `[bins]`, number of rows.

    """

    prediction: NDArray[np.float64]
    observed: NDArray[np.float64]
    count: NDArray[np.int64]


def reliability_curve(
    y: Floats,
    p: Floats,
    *,
    n_bins: int = 15,
    bins: Literal["equal_mass", "equal_width"] = "equal_mass",
) -> ReliabilityCurve:
    """Return mean prediction and mean label per bin of predictions.

    Equal-mass bins end at quantiles of the predictions, equal-width bins divide their range.
    Equal predictions always share a bin, so the curve does not depend on the order of the rows;
    with many ties there are fewer bins than `n_bins`.

    >>> reliability_curve(np.array([0, 1]), np.array([0.2, 0.6]), n_bins=2).prediction.tolist()
    [0.2, 0.6]

    Args:
        y: labels `[B]`, no NaN; 0 and 1 for a binary task, any number for a regression.
        p: predictions `[B]` in the unit of the labels.
        n_bins: at most this many bins, at least 1.
        bins: equal_mass or equal_width.

    Raises:
        DataError: `n_bins` is below 1.

    """
    count_of("n_bins", n_bins, error=DataError)
    if len(p) == 0:
        return ReliabilityCurve(np.empty(0), np.empty(0), np.empty(0, np.int64))
    inner = np.linspace(0.0, 1.0, n_bins + 1)[1:-1]
    low, high = float(p.min()), float(p.max())
    ends = np.quantile(p, inner) if bins == "equal_mass" else low + inner * (high - low)
    code = np.searchsorted(ends.astype(p.dtype), p, side="left")
    count = np.bincount(code, minlength=n_bins)
    filled = count > 0
    mean_p, mean_y = (np.bincount(code, v, n_bins)[filled] / count[filled] for v in (p, y))
    return ReliabilityCurve(mean_p, mean_y, count[filled])


def expected_calibration_error(y: Floats, p: Floats, *, n_bins: int = 15) -> float:
    """Return the mean of |mean label - mean prediction| over equal-mass bins, by their rows.

    Naeini et al. 2015, eq. 3, with the equal-mass bins of Nixon et al. 2019. 0 is best; label
    noise by itself makes it positive, by about 0.8·sqrt(n_bins·r(1-r)/B) at a base rate r. NaN
    without rows.

    >>> round(expected_calibration_error(np.array([0, 1]), np.array([0.2, 0.6])), 4)
    0.3

    Args:
        y: labels `[B]`, 0 or 1.
        p: probabilities `[B]`.
        n_bins: maximum number of bins.

    """
    if len(p) == 0:
        return math.nan
    curve = reliability_curve(y, p, n_bins=n_bins)
    gap = np.abs(curve.observed - curve.prediction)
    return float(np.average(gap, weights=curve.count))


def calibration_ratio(y: Floats, p: Floats) -> float:
    """Return mean prediction / mean label: 1 is best, 1.1 predicts 10 % too much.

    NaN without rows or if the labels have mean 0.

    >>> calibration_ratio(np.array([0, 1]), np.array([0.5, 0.6]))
    1.1

    Args:
        y: labels `[B]`.
        p: predictions `[B]`.

    """
    observed = float(np.mean(y, dtype=np.float64)) if len(y) else 0.0
    return float(np.mean(p, dtype=np.float64)) / observed if observed != 0.0 else math.nan
