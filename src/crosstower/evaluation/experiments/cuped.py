"""CUPED: less variance by a covariate from before the experiment. No torch.

Values Y of users are replaced by Y - θ (X - mean X), where X was measured before the start and is
therefore independent of the arm. With θ = cov(X, Y) / var(X) the variance falls by the factor
1 - r², where r is the correlation of X and Y (Deng et al. 2013, equation 5). θ is estimated within
arms, so that an effect of the arm does not change it: the difference of two adjusted means is the
coefficient of the arm in the regression of Y on arm and X.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crosstower.evaluation.metrics.registry import Floats
from crosstower.values.arrays import Indices


@dataclass(frozen=True)
class Adjusted:
    """Values `[U]` of users after the adjustment, in the same units and with the same mean.

    `slope` is θ; `reduction` is the share of the variance within arms that is removed, r².
    """

    values: Floats
    slope: float
    reduction: float


def adjusted(values: Floats, covariate: Floats, arms: Indices) -> Adjusted:
    """Return values without the part that the covariate explains.

    >>> before, after = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 4.0, 7.0, 9.0])
    >>> adjusted(after, before, np.array([0, 0, 1, 1])).values
    array([5., 5., 6., 6.])

    Args:
        values: `[U]` of the experiment.
        covariate: `[U]` of the time before; the same for all users changes nothing.
        arms: `[U]` number of the arm, from 0.

    """
    centred, explaining = _within(values, arms), _within(covariate, arms)
    spread = float(explaining @ explaining)
    if spread == 0.0:
        return Adjusted(values, 0.0, 0.0)
    shared = float(explaining @ centred)
    total, slope = float(centred @ centred), shared / spread
    reduction = shared**2 / (spread * total) if total else 0.0
    return Adjusted(values - slope * (covariate - covariate.mean()), slope, reduction)


def _within(values: Floats, arms: Indices) -> Floats:
    """Return values minus the mean of their arm."""
    counts = np.bincount(arms)
    return values - (np.bincount(arms, values) / np.maximum(counts, 1))[arms]
