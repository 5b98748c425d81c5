"""Metrics of an order within each user, session or request, and how sure their means are. No torch.

Shapes: B rows, G groups. Rows of equal score stand in no order: a metric is its mean over all
orders of them (McSherry & Najork 2008, "Computing Information Retrieval Performance Measures
Efficiently in the Presence of Tied Scores"), so it does not depend on the order of the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError
from crosstower.evaluation.metrics.auc import Groups, group_ids
from crosstower.evaluation.metrics.values import refuse
from crosstower.recipe.arguments import count_of
from crosstower.values.arrays import Indices

Floats = NDArray[np.float64]
Values = pl.Series | NDArray[Any]

_DRAWS = 2**22  # of a block of the bootstrap, to bound its memory


@dataclass(frozen=True)
class GroupValues:
    """A metric per group.

    >>> GroupValues(pl.Series(["ann", "bob"]), np.array([1.0, 0.5]), left_out=1).mean
    0.75

    Args:
        groups: `[G]`, group ids in ascending order.
        values: `[G]`.
        left_out: number of groups for which the metric is undefined.

    """

    groups: pl.Series
    values: Floats
    left_out: int

    @property
    def counted(self) -> int:
        """Number of groups with a value."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """The mean over groups, each counting once; NaN without any."""
        return float(self.values.mean()) if self.counted else math.nan


def ndcg_per_group(groups: Groups, score: Values, gain: Values, k: int) -> GroupValues:
    """Return each group's NDCG@k in [0, 1]: the discounted gain of its order over the best one.

    Järvelin & Kekäläinen 2002, with linear gain and the discount log2(rank + 1). Groups without a
    positive gain have no NDCG and are omitted. Rows without a gain or without a group (null or NaN)
    do not count.

    >>> users = pl.Series(["ann", "ann", "bob", "bob", "eve"])
    >>> found = ndcg_per_group(users, np.array([2, 1, 2, 1, 1]), np.array([1, 0, 0, 1, 0]), k=2)
    >>> found.values.round(4).tolist(), found.left_out
    ([1.0, 0.6309], 1)

    Args:
        groups: `[B]`, group ids, such as user ids.
        score: `[B]`, higher ranks first; no NaN.
        gain: `[B]`, 0 or more: a label, a probability, or a sum of them.
        k: list length, at least 1.

    Raises:
        DataError: lengths differ, a score is NaN, a gain is negative or infinite, or k is below 1.

    """
    rows = order_groups(groups, score, gain, k, losses=False)
    discount = 1.0 / np.log2(np.arange(rows.longest(k)) + 2.0)
    best = rows.by_gain().expected(discount)
    known = best > 0.0
    values = rows.expected(discount)[known] / best[known]
    return GroupValues(rows.groups.filter(pl.Series(known)), values, rows.seen - len(values))


def total_at_k_per_group(groups: Groups, score: Values, gain: Values, k: int) -> GroupValues:
    """Return each group's sum of gain over the first k rows of its order, in units of the gain.

    With likes as gain and sessions as groups, it is the number of likes in the first k rows of a
    session. A group without gain has the total 0; groups whose gains are all missing are omitted.

    >>> users = pl.Series(["ann", "ann", "bob"])
    >>> total_at_k_per_group(users, np.array([2, 1, 1]), np.array([3, 5, 4]), k=1).values.tolist()
    [3.0, 4.0]

    Args:
        groups: `[B]`, group ids, such as user ids.
        score: `[B]`, higher ranks first; no NaN.
        gain: `[B]`; negative values are losses.
        k: list length, at least 1.

    Raises:
        DataError: lengths differ, a score is NaN, a gain is infinite, or k is below 1.

    """
    rows = order_groups(groups, score, gain, k, losses=True)
    values = rows.expected(np.ones(rows.longest(k)))
    return GroupValues(rows.groups, values, rows.seen - len(values))


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


@dataclass(frozen=True)
class GroupOrder:
    """Rows that count, by group and then by falling score.

    `groups` `[G]` are ids, `code` `[B]` is each row's place among them; `seen` counts the groups
    before rows without a gain were dropped.
    """

    groups: pl.Series
    code: Indices
    score: Floats
    gain: Floats
    seen: int

    def longest(self, k: int) -> int:
        """Return how many places can be filled: k, or the rows of the largest group."""
        return min(k, int(np.bincount(self.code).max(initial=0)))

    def by_gain(self) -> GroupOrder:
        """Return the best order: by gain. Rows without any add nothing and are dropped."""
        frame = pl.DataFrame({"code": self.code, "gain": self.gain}).filter(pl.col("gain") > 0.0)
        frame = frame.sort("code", "gain", descending=[False, True])
        code, gain = (frame[name].to_numpy() for name in ("code", "gain"))
        return GroupOrder(self.groups, code, gain, gain, self.seen)

    def expected(self, weights: Floats) -> Floats:
        """Return `[G]` the sum of weight x gain over places; `weights` has one per place.

        Rows of equal score form a block; each is equally likely at each place of its block.
        """
        first, owner, size, start = self.ties()
        reach = np.append(0.0, np.cumsum(weights))
        ends = (np.minimum(place, len(weights)) for place in (start, start + size))
        before, after = (reach[end] for end in ends)
        mean_gain = np.add.reduceat(self.gain, first) / size
        totals = np.bincount(owner, mean_gain * (after - before), len(self.groups))
        return totals.astype(np.float64)

    def ties(self) -> tuple[Indices, Indices, Indices, Indices]:
        """Return the blocks of rows of equal score, in order.

        Returns:
            The first row of each block, its group, its number of rows, and the rows of its group
            before it.

        """
        new = np.ones(len(self.code), dtype=np.bool_)
        new[1:] = (self.code[1:] != self.code[:-1]) | (self.score[1:] != self.score[:-1])
        first = np.flatnonzero(new)  # [blocks]
        owner, size = self.code[first], np.diff(first, append=len(new))
        rows = np.bincount(self.code, minlength=len(self.groups))  # [G]
        return first, owner, size, first - (np.cumsum(rows) - rows)[owner]


def order_groups(
    groups: Groups, score: Values, gain: Values, k: int, *, losses: bool
) -> GroupOrder:
    """Return the rows that count, in order; `ndcg_per_group` documents the arguments.

    Args:
        groups: `[B]`.
        score: `[B]`.
        gain: `[B]`.
        k: list length.
        losses: whether gains may be negative.

    """
    _check(groups, score, gain, k)
    frame = pl.DataFrame({"group": group_ids(groups), "score": score, "gain": gain})
    frame = frame.with_columns(pl.col("score", "gain").cast(pl.Float64))
    _check_numbers(frame["score"].to_numpy(), frame["gain"].to_numpy(), losses=losses)
    frame = frame.drop_nulls("group")
    seen = frame["group"].n_unique()
    frame = frame.with_columns(pl.col("gain").fill_nan(None)).drop_nulls("gain")
    frame = frame.sort("group", "score", descending=[False, True])
    ids, code = frame["group"].unique(maintain_order=True), frame["group"].rle_id().cast(pl.Int64)
    arrays = (column.to_numpy() for column in (code, frame["score"], frame["gain"]))
    return GroupOrder(ids, *arrays, seen=seen)


def _check(groups: Groups, score: Values, gain: Values, k: int) -> None:
    lengths = {"groups": len(groups), "scores": len(score), "gains": len(gain)}
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{n} {name}" for name, n in lengths.items())
        raise DataError(f"an order needs a group, a score and a gain of each row, got {given}")
    count_of("k", k, error=DataError)


def _check_numbers(score: Floats, gain: Floats, *, losses: bool) -> None:
    refuse(np.isnan(score), score, "expected a number as score")
    wrong = np.isinf(gain) if losses else (gain < 0.0) | np.isinf(gain)
    what = "gain" if losses else "gain of 0 or more"
    refuse(wrong, gain, f"expected a finite {what} (NaN where it is missing)")
