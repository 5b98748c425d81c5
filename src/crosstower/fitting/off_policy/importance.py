"""Importance weights of logged rows, and estimates with their standard errors. No torch.

Shapes: B logged rows. The weight w of a row is target / propensity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError, QueryError
from crosstower.evaluation.metrics.values import refuse
from crosstower.values.arrays import Floats

Numbers = pl.Series | NDArray[Any]
Groups = NDArray[np.int64] | None
"""Number of the group of each row `[B]`, from 0; None if rows are independent."""

_MOST = 1e100  # the square of a larger weight, times the rows, leaves the range of numbers


@dataclass(frozen=True)
class Estimate:
    """Estimated value of a policy, with its standard error and the weights behind it.

    `effective_sample_size` is (Σw)² / Σw² (Kish 1965): so many rows of equal weight would be as
    sure. `max_weight` is the largest w before clipping, `clipped` counts the rows whose w was cut.
    Without weights they are `rows`, 1 and 0. The standard error is NaN where it is not known.
    `parameter` is the threshold or the shrinkage of an estimator that has one.
    """

    value: float
    standard_error: float
    effective_sample_size: float
    rows: int
    max_weight: float
    clipped: int
    parameter: float | None = None

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return (low, high), the normal interval that holds the value with chance `level`.

        Raises:
            DataError: `level` is not between 0 and 1.

        """
        if not 0.0 < level < 1.0:
            raise DataError(f"level: expected a share between 0 and 1, such as 0.95, got {level}")
        reach = NormalDist().inv_cdf((1.0 + level) / 2.0) * self.standard_error
        return self.value - reach, self.value + reach


@dataclass(frozen=True)
class Weights:
    """Weights `[B]` as they are used, and the number of clipped ones."""

    used: Floats
    largest: float
    clipped: int

    def estimate(self, terms: Floats, groups: Groups = None) -> Estimate:
        """Return the mean of terms `[B]` as a value."""
        size = self.used.sum() ** 2 / np.sum(self.used**2)
        mean, error = mean_of(terms, groups)
        return Estimate(mean, error, float(size), len(terms), self.largest, self.clipped)


def weights_of(propensity: Numbers, target: Numbers, clip: float | None, rows: int) -> Weights:
    """Return the weights of `rows` rows, those above `clip` cut to it.

    Raises:
        DataError: lengths differ, a number is out of its range, or all weights are 0.
        QueryError: `clip` is not above 0.

    """
    same_length(reward=rows, propensity=len(propensity), target=len(target))
    logged, wanted = (np.asarray(v, dtype=np.float64) for v in (propensity, target))
    rule = "propensity: expected the logged action's chance in (0, 1]"
    refuse(~((logged > 0.0) & (logged <= 1.0)), logged, rule)
    rule = "target: expected the logged action's chance in [0, 1]"
    refuse(~((wanted >= 0.0) & (wanted <= 1.0)), wanted, rule)
    with np.errstate(over="ignore"):
        weights = wanted / logged
    rule = "propensity: expected a chance within 100 orders of magnitude of the evaluated policy's"
    refuse(weights > _MOST, logged, rule)
    largest = float(weights.max())
    if largest == 0.0:
        raise DataError(
            f"target: the evaluated policy takes none of the {rows:,} logged actions, so the rows"
            " say nothing of its value; evaluate a policy that the log overlaps with"
        )
    if clip is None:
        return Weights(weights, largest, 0)
    if not clip > 0.0:
        raise QueryError(f"clip: expected the largest weight, above 0, or None, got {clip}")
    return Weights(np.minimum(weights, clip), largest, int(np.sum(weights > clip)))


def unweighted(terms: Floats, groups: Groups = None) -> Estimate:
    """Return the mean of terms `[B]` as a value that rests on no weights."""
    return Estimate(*mean_of(terms, groups), float(len(terms)), len(terms), 1.0, 0)


def mean_of(terms: Floats, groups: Groups = None) -> tuple[float, float]:
    """Return the mean and its standard error.

    Rows of a group, such as the places of one list, may depend on one another: the standard error
    is then that of the sums of groups (Liang & Zeger 1986), which is the usual one where each row
    is a group of its own.
    """
    mean = float(terms.mean())
    sums = terms - mean if groups is None else np.bincount(groups, weights=terms - mean)
    if groups is not None:
        sums = sums[np.bincount(groups) > 0]
    count = len(sums)
    if count < 2:
        return mean, math.nan
    return mean, math.sqrt(count / (count - 1) * float(np.sum(sums**2))) / len(terms)


def finite(**columns: Numbers) -> list[Floats]:
    """Return columns `[B]` in float64; refuse none, NaN and inf, by name."""
    same_length(**{name: len(values) for name, values in columns.items()})
    arrays = {name: np.asarray(v, dtype=np.float64) for name, v in columns.items()}
    for name, values in arrays.items():
        if len(values) == 0:
            raise DataError(f"{name}: a policy's value needs at least one logged row, got none")
        refuse(~np.isfinite(values), values, f"{name}: expected a finite number")
    return list(arrays.values())


def same_length(**lengths: int) -> None:
    """Reject columns of different lengths."""
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise DataError(f"expected one number of each a logged row, got lengths {given}")
