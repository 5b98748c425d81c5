"""Diversity: the last step of ranking, which reorders the first positions of each list.

Caps limit the number of items per content type. Maximal marginal relevance (Carbonell & Goldstein
1998, "The Use of MMR, Diversity-Based Reranking", eq. 2) penalises items similar to those above
them. All lists are filled in parallel, position by position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.blending.columns import Floats, types_of
from crosstower.blending.orders import Order, check_lengths, order_of
from crosstower.evaluation.metrics.auc import Groups
from crosstower.recipe.blend import ANY_OTHER, Diversity
from crosstower.values.arrays import Indices

_NO_CAP = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Counts:
    """Counts of a re-ranking.

    Of `groups` lists, `changed` differ from the order by score. In `unfilled` of them all remaining
    rows were of full types before the first positions were filled; `over_cap` positions of these
    lists went to the best rows regardless of the caps.
    """

    groups: int
    changed: int
    unfilled: int
    over_cap: int


def rerank(
    spec: Diversity, groups: Groups, score: Floats, frame: pl.DataFrame
) -> tuple[Indices, Counts]:
    """Return each row's rank in its group `[rows]`, 1 for the first, and counts of the changes.

    Each of the first `spec.top` positions goes to the best remaining row whose type is not full;
    ties go to the row with the higher score. The best row has the highest score, or with `mmr` the
    highest λ·relevance - (1 - λ)·(similarity to the most similar row above). Relevance is the score
    scaled to [0, 1] within the group. The similarity of two rows is the share of the columns
    `similar_by` with equal values (a missing value equals nothing). The remaining rows follow in
    order of score, also once only full types remain. Rows without a group get rank 0. A row
    without a type counts towards the cap '*'.

    Args:
        spec: caps, MMR or both.
        groups: `[rows]` group ids, such as user ids.
        score: `[rows]`, finite, higher is better.
        frame: the same rows, with the columns of `spec`.

    Raises:
        DataError: a column is missing, the lengths differ, or a score is not finite.

    """
    order = order_of(groups, score)
    check_lengths(scores=len(score), rows=frame.height)
    caps, value = _Caps(spec, frame, order), _Value(spec, score, frame, order)
    taken = np.full(len(order.rows), np.inf)  # position of each row, in sorted order
    for place in range(min(spec.top, int(order.sizes.max(initial=0)))):
        best = _best(value.next_place(), np.isinf(taken) & caps.open(), order)
        taken[best] = place
        caps.take(best)
        value.take(best)
    sequence = np.lexsort((taken, order.owner))  # rows without a position keep the order of score
    return order.ranks(order.rows[sequence]), _counts(spec, order, taken, sequence)


class _Caps:
    """Remaining rows per (group, type), for each row `[ordered]`."""

    def __init__(self, spec: Diversity, frame: pl.DataFrame, order: Order) -> None:
        self._pair = np.zeros(len(order.rows), dtype=np.int64)
        self._left = np.array([_NO_CAP])
        if spec.by is not None:
            types = types_of(frame, spec.by)[order.rows]
            pairs = pl.DataFrame({"group": order.owner, "type": types})
            pair = pairs.select(pl.struct("group", "type").rank("dense")).to_series()
            self._pair = pair.to_numpy().astype(np.int64) - 1
            self._left = np.zeros(int(self._pair.max(initial=0)) + 1, dtype=np.int64)
            self._left[self._pair] = _limits(spec.caps, types)

    def open(self) -> NDArray[np.bool_]:
        """Return which rows the caps still allow `[ordered]`."""
        return self._left[self._pair] > 0

    def take(self, best: Indices) -> None:
        """Count rows, at most one per group, that were placed."""
        self._left[self._pair[best]] -= 1


class _Value:
    """Value of rows at the next position `[ordered]`: their score, or their MMR."""

    def __init__(self, spec: Diversity, score: Floats, frame: pl.DataFrame, order: Order) -> None:
        self._order, self._share = order, spec.mmr
        self._relevance = score[order.rows]
        self._nearest = np.zeros(len(order.rows))
        if spec.mmr is not None:
            self._relevance = _scaled(self._relevance, order)
            columns = [types_of(frame, name)[order.rows] for name in spec.similar_by]
            self._codes = [c.rank("dense").fill_null(0).to_numpy() for c in columns]

    def next_place(self) -> Floats:
        """Return the values; higher is better."""
        if self._share is None:
            return self._relevance
        return self._share * self._relevance - (1.0 - self._share) * self._nearest

    def take(self, best: Indices) -> None:
        """Update similarities with rows, at most one per group, that were placed."""
        if self._share is None:
            return
        alike = np.zeros(len(self._nearest))
        for code in self._codes:
            theirs = np.zeros(len(self._order.sizes), dtype=code.dtype)
            theirs[self._order.owner[best]] = code[best]
            alike += (code == theirs[self._order.owner]) & (code > 0)
        self._nearest = np.maximum(self._nearest, alike / len(self._codes))


def _scaled(score: Floats, order: Order) -> Floats:
    """Return scores in falling order, scaled to [0, 1] within each group; 0 if all are equal."""
    high, low = score[order.starts], score[order.starts + order.sizes - 1]
    span = np.where(high > low, high - low, 1.0)
    return (score - low[order.owner]) / span[order.owner]


def _limits(caps: Mapping[str, int], types: pl.Series) -> Indices:
    named = {kind: cap for kind, cap in caps.items() if kind != ANY_OTHER}
    other = caps.get(ANY_OTHER, _NO_CAP)
    return types.replace_strict(named, default=other, return_dtype=pl.Int64).to_numpy()


def _best(value: Floats, allowed: NDArray[np.bool_], order: Order) -> Indices:
    """Return the first of the best allowed rows per group, in sorted order."""
    value = np.where(allowed, value, -np.inf)
    highest = np.maximum.reduceat(value, order.starts)
    found = np.flatnonzero(allowed & (value == highest[order.owner]))
    return found[np.unique(order.owner[found], return_index=True)[1]]


def _counts(spec: Diversity, order: Order, taken: Floats, sequence: Indices) -> Counts:
    groups = len(order.sizes)
    moved = order.owner[sequence != np.arange(len(sequence))]
    filled = np.bincount(order.owner[np.isfinite(taken)], minlength=groups)
    missing = np.minimum(order.sizes, spec.top) - filled
    return Counts(groups, len(np.unique(moved)), int((missing > 0).sum()), int(missing.sum()))
