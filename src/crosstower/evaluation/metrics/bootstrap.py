"""How sure the mean of a metric over groups is: bootstrap intervals. No torch. Shapes: G groups."""

from __future__ import annotations

import math

import numpy as np

from crosstower.errors import DataError
from crosstower.evaluation.metrics.group_order import GroupValues
from crosstower.evaluation.metrics.values import refuse
from crosstower.recipe.arguments import count_of
from crosstower.values.arrays import Floats

_DRAWS = 2**22  # of a block of the bootstrap, to bound its memory


def bootstrap_interval(
    values: Floats, *, level: float = 0.95, repeats: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return (low, high), the percentile bootstrap interval of the mean over groups.

    Efron 1979: groups are resampled with replacement, so rows of a group stay together. It is
    (NaN, NaN) without groups; with one group both ends are its value, regardless of its noise.

    >>> low, high = bootstrap_interval(np.array([0.0, 1.0, 1.0, 0.0]))
    >>> 0.0 <= low < 0.5 < high <= 1.0
    True

    Args:
        values: `[G]`, one finite value per group, such as `GroupValues.values`.
        level: confidence level, in (0, 1).
        repeats: number of resamples, at least 1.
        seed: of the resampling; the same seed gives the same interval.

    Raises:
        DataError: a value is not finite, or `level` or `repeats` is out of range.

    """
    if not 0.0 < level < 1.0:
        raise DataError(f"level: expected a share between 0 and 1, such as 0.95, got {level}")
    count_of("repeats", repeats, error=DataError)
    values = np.asarray(values, dtype=np.float64)
    refuse(~np.isfinite(values), values, "expected one finite value per group")
    if len(values) == 0:
        return math.nan, math.nan
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(_resampled_means(values, repeats, seed), [tail, 1.0 - tail])
    return float(low), float(high)


def bootstrap_difference(
    a: GroupValues, b: GroupValues, *, level: float = 0.95, repeats: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return (low, high), the bootstrap interval of mean(a) - mean(b) over the same groups.

    Each resample takes both values of a group, so that differences between groups cancel out. Two
    orders of the same rows by the same gains always have the same groups.

    >>> import polars as pl
    >>> users = pl.Series(["ann", "bob"])
    >>> a, b = (GroupValues(users, np.array(values), 0) for values in ([0.9, 0.5], [0.8, 0.4]))
    >>> [round(end, 4) for end in bootstrap_difference(a, b)]
    [0.1, 0.1]

    Args:
        a: values of one order.
        b: values of the other order, of the same groups.
        level: confidence level, in (0, 1).
        repeats: number of resamples, at least 1.
        seed: of the resampling.

    Raises:
        DataError: the groups differ, or as `bootstrap_interval`.

    """
    if not a.groups.equals(b.groups):
        raise DataError(
            f"a paired difference needs the same groups on both sides, got {a.counted} and"
            f" {b.counted} groups with other ids; compute both metrics from the same rows and gains"
        )
    return bootstrap_interval(a.values - b.values, level=level, repeats=repeats, seed=seed)


def _resampled_means(values: Floats, repeats: int, seed: int) -> Floats:
    random, count = np.random.default_rng(seed), len(values)
    block = max(_DRAWS // count, 1)
    sizes = [min(block, repeats - done) for done in range(0, repeats, block)]
    draws = (values[random.integers(0, count, (size, count))].mean(axis=1) for size in sizes)
    return np.concatenate(list(draws))
