"""Diversity: the last step of ranking, which reorders the first positions of each list.

Caps limit the number of items per content type. Maximal marginal relevance (Carbonell & Goldstein
1998, "The Use of MMR, Diversity-Based Reranking", eq. 2) penalises items similar to those above
them. All lists are filled in parallel, position by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.blending.columns import types_of
from crosstower.blending.orders import Order, check_lengths, order_of
from crosstower.evaluation.metrics.auc import Groups
from crosstower.recipe.blend import ANY_OTHER, Diversity
from crosstower.values.arrays import Floats, Indices

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
    likeness = None
    if spec.mmr is not None:
        codes = [types_of(frame, name).rank("dense").fill_null(0) for name in spec.similar_by]
        likeness = SharedValues([c.to_numpy()[order.rows] for c in codes])
    value = _Value(score[order.rows], spec.mmr, likeness, order)
    taken = _filled(order, _Caps(spec, frame, order), value, spec.top)
    sequence = np.lexsort((taken, order.owner))  # rows without a position keep the order of score
    return order.ranks(order.rows[sequence]), _counts(spec, order, taken, sequence)


def mmr_order(score: Floats, likeness: Likeness, *, share: float, top: int) -> Indices:
    """Return the rows of one list that maximal marginal relevance puts first, at most `top`.

    >>> likeness = SharedValues([np.array([1, 1, 2])])
    >>> mmr_order(np.array([3.0, 2.0, 1.0]), likeness, share=0.4, top=2).tolist()
    [0, 2]

    Args:
        score: `[rows]` in falling order.
        likeness: of the same rows.
        share: weight of relevance, λ.
        top: number of rows.

    """
    rows = np.arange(len(score))
    sizes = np.array([len(score)] if len(score) else [], dtype=np.int64)
    order = Order(rows, np.zeros_like(rows), np.zeros_like(sizes), sizes, len(score))
    taken = _filled(order, _Caps(None, None, order), _Value(score, share, likeness, order), top)
    return np.argsort(taken, kind="stable")[: min(top, len(score))]


def _filled(order: Order, caps: _Caps, value: _Value, top: int) -> Floats:
    """Return the position of each row `[ordered]`, infinite for those that get none."""
    taken = np.full(len(order.rows), np.inf)
    for place in range(min(top, int(order.sizes.max(initial=0)))):
        best = _best(value.next_place(), np.isinf(taken) & caps.open(), order)
        taken[best] = place
        caps.take(best)
        value.take(best)
    return taken


class _Caps:
    """Remaining rows per (group, type), for each row `[ordered]`."""

    def __init__(self, spec: Diversity | None, frame: pl.DataFrame | None, order: Order) -> None:
        self._pair = np.zeros(len(order.rows), dtype=np.int64)
        self._left = np.array([_NO_CAP])
        if spec is not None and frame is not None and spec.by is not None:
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


class Likeness(Protocol):
    """Similarity of rows."""

    def to(self, best: Indices, owner: Indices) -> Floats:
        """Return each row's similarity in [0, 1] to the row of its group among `best`, or 0."""
        ...


class SharedValues:
    """The share of columns in which two rows are equal; code 0 equals nothing.

    Args:
        codes: `[ordered]` values of each column.

    """

    def __init__(self, codes: Sequence[Indices]) -> None:
        self._codes = codes

    def to(self, best: Indices, owner: Indices) -> Floats:
        """Return the similarities `[ordered]`, see `Likeness`."""
        alike = np.zeros(len(owner))
        for code in self._codes:
            if len(best) == 1 and owner[-1] == 0:  # one list: several times as fast
                alike += (code == code[best[0]]) & (code > 0)
                continue
            theirs = np.zeros(owner[-1] + 1, dtype=code.dtype)
            theirs[owner[best]] = code[best]
            alike += (code == theirs[owner]) & (code > 0)
        return alike / len(self._codes)


class Cosine:
    """The cosine of two vectors, scaled to [0, 1] as (1 + cosine) / 2.

    Args:
        vectors: `[ordered, D]` of unit length.

    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors

    def to(self, best: Indices, owner: Indices) -> Floats:
        """Return the similarities `[ordered]`, see `Likeness`."""
        if len(best) == 1 and owner[-1] == 0:
            found = self._vectors @ self._vectors[best[0]]
            return (1.0 + found.astype(np.float64)) / 2.0
        mine = np.full(owner[-1] + 1, -1)
        mine[owner[best]] = best
        found = np.einsum("nd,nd->n", self._vectors, self._vectors[mine[owner]])
        return np.where(mine[owner] < 0, 0.0, (1.0 + found.astype(np.float64)) / 2.0)


class _Value:
    """Value of rows at the next position `[ordered]`: their score, or their MMR."""

    def __init__(
        self, score: Floats, share: float | None, likeness: Likeness | None, order: Order
    ) -> None:
        self._order, self._share, self._likeness = order, share, likeness
        self._relevance = score if likeness is None else scaled_within(score, order)
        self._nearest = np.zeros(len(order.rows))

    def next_place(self) -> Floats:
        """Return the values; higher is better."""
        if self._share is None:
            return self._relevance
        return self._share * self._relevance - (1.0 - self._share) * self._nearest

    def take(self, best: Indices) -> None:
        """Update similarities with rows, at most one per group, that were placed."""
        if self._likeness is not None:
            alike = self._likeness.to(best, self._order.owner)
            self._nearest = np.maximum(self._nearest, alike)


def scaled_within(score: Floats, order: Order) -> Floats:
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
    if len(order.sizes) == 1:  # one list: several times as fast
        return np.array([int(value.argmax())][: int(allowed.any())], dtype=np.int64)
    highest = np.maximum.reduceat(value, order.starts)
    found = np.flatnonzero(allowed & (value == highest[order.owner]))
    return found[np.unique(order.owner[found], return_index=True)[1]]


def _counts(spec: Diversity, order: Order, taken: Floats, sequence: Indices) -> Counts:
    groups = len(order.sizes)
    moved = order.owner[sequence != np.arange(len(sequence))]
    filled = np.bincount(order.owner[np.isfinite(taken)], minlength=groups)
    missing = np.minimum(order.sizes, spec.top) - filled
    return Counts(groups, len(np.unique(moved)), int((missing > 0).sum()), int(missing.sum()))
