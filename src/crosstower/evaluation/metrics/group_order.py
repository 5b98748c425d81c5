"""The order of rows within each user, session or request, and a metric per group. No torch.

Shapes: B rows, G groups. Rows of equal score have no order: a metric is its mean over all
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
from crosstower.values.arrays import Floats, Indices

Values = pl.Series | NDArray[Any]


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
