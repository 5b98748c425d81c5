"""Two models on the same rows: metrics under one bootstrap over clusters, such as users. No torch.

A statistic is a function of the number of times that each cluster was drawn, so all statistics of
both models see the same resamples (Efron & Tibshirani 1993, "An Introduction to the Bootstrap",
chapters 8 and 13; resampling whole clusters keeps dependent rows together, Field & Welsh 2007).
Shapes: B rows, G clusters, 2 models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.evaluation.metrics.weighted import cluster_auc
from crosstower.values.arrays import Floats, Indices

Statistic = Callable[[Floats], Floats]
"""From draws per cluster `[G]` to the value of each model `[2]`."""


def mean_statistic(values: Floats, clusters: Indices, *, root: bool = False) -> Statistic:
    """Return the statistic of a mean over rows.

    >>> squares = np.array([[1.0, 4.0], [1.0, 0.0]])
    >>> mean_statistic(squares, np.array([0, 1]), root=True)(np.ones(2)).round(4).tolist()
    [1.0, 1.4142]

    Args:
        values: `[B, 2]`, of each row under each model, such as a squared error.
        clusters: `[B]`, number of each row's cluster from 0.
        root: return the root of the mean.

    """
    rows = np.ones(len(values))
    ratio = ratio_statistic(values, np.stack([rows, rows], axis=1), clusters)
    return (lambda draws: np.sqrt(ratio(draws))) if root else ratio


def ratio_statistic(above: Floats, below: Floats, clusters: Indices) -> Statistic:
    """Return the statistic of a ratio of sums over rows; NaN where the lower sum is 0.

    Args:
        above: `[B, 2]`, numerators of each row under each model.
        below: `[B, 2]`, denominators.
        clusters: `[B]`, number of each row's cluster from 0.

    """
    count = int(clusters.max(initial=-1)) + 1
    sums = [_sums(values, clusters, count) for values in (above, below)]

    def of(draws: Floats) -> Floats:
        top, bottom = (draws[:count] @ part for part in sums)
        return np.divide(top, bottom, out=np.full(2, math.nan), where=bottom != 0.0)

    return of


def auc_statistic(labels: NDArray[Any], scores: Floats, clusters: Indices) -> Statistic:
    """Return the statistic of the area under the ROC curve; a tie counts half.

    NaN where a resample has one class only.

    >>> y, scores = np.array([0, 1]), np.array([[0.1, 0.2], [0.3, 0.2]])
    >>> auc_statistic(y, scores, np.array([0, 1]))(np.ones(2)).tolist()
    [1.0, 0.5]

    Args:
        labels: `[B]`, 0 or 1.
        scores: `[B, 2]`, finite.
        clusters: `[B]`, number of each row's cluster from 0.

    """
    models = [cluster_auc(labels, scores[:, model], clusters) for model in range(2)]
    return lambda draws: np.array([auc(draws) for auc in models])


def resampled(
    statistics: Mapping[str, Statistic], clusters: int, *, repeats: int, seed: int
) -> dict[str, Floats]:
    """Return the values `[repeats, 2]` of statistics under the same resamples.

    Args:
        statistics: by name.
        clusters: G, from which as many are drawn with replacement.
        repeats: number of resamples.
        seed: of the draws.

    """
    random = np.random.default_rng(seed)
    found = {name: np.empty((repeats, 2)) for name in statistics}
    for repeat in range(repeats):
        drawn = random.integers(0, clusters, clusters)
        draws = np.bincount(drawn, minlength=clusters).astype(np.float64)
        for name, statistic in statistics.items():
            found[name][repeat] = statistic(draws)
    return found


def _sums(values: Floats, clusters: Indices, count: int) -> Floats:
    found = np.zeros((count, values.shape[1]))
    np.add.at(found, clusters, values)
    return found
