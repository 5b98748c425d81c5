"""Candidates of a search by inner product: the items with the largest ones, piece by piece.

The products of queries with a piece of the items stay in the CPU's caches, where those that are not
among the best so far are dropped. Neighbouring items form groups. Only the maximum of a group
is compared, so most items cost a product and nothing else.

Shapes: Q queries, D width of a vector, n items, k items to find, C items of a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.values.arrays import Indices

Floats = NDArray[np.float32]

_MOST_ITEMS = 32_768  # of a block, whose vectors are read at once
_QUERY_BLOCK = 512  # queries that are compared with a piece at once
_PIECE, _MOST_COLUMNS = 2**19, 2**15  # products of a piece (2 MiB), and its most columns
_GROUP, _WORTH_GROUPING = 32, 2
_PENDING = 16  # of a query, on average, until they are merged


class NearestItems:
    """The k items with the largest inner products of each query.

    >>> queries, items = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 5], [3.0, 5], [2.0, 5]])
    >>> gone = np.array([0]), np.array([2])
    >>> nearest = NearestItems(queries, items.__getitem__, 2, allowed=np.arange(3), gone=gone)
    >>> nearest.best_first()
    (array([[1, 0]]), array([[3., 1.]], dtype=float32))

    Args:
        queries: `[Q, D]` float32.
        rows: returns the vectors `[n, D]` of items by place.
        k: at most as many as there are `allowed` places.
        allowed: places that may be shown, ascending.
        gone: (query, place) pairs that may not; None for none.

    """

    def __init__(
        self,
        queries: Tensor,
        rows: Callable[[slice | Indices], Tensor],
        k: int,
        *,
        allowed: Indices,
        gone: tuple[Indices, Indices] | None,
    ) -> None:
        self._queries, self._rows, self._k, self._allowed = queries, rows, k, allowed
        none = np.empty(0, np.int64)
        query, place = (none, none) if gone is None else gone
        order = np.argsort(query, kind="stable")
        self._gone = query[order], place[order]
        columns = _PIECE // max(min(len(queries), _QUERY_BLOCK), 1)
        self._columns = min(columns, _MOST_COLUMNS) // _GROUP * _GROUP
        self._room = torch.empty(0)  # of the products of a piece

    def best_first(self) -> tuple[Indices, Floats]:
        """Return the places `[Q, k]` of the items and their products; -1, -inf where none is."""
        starts = range(0, len(self._queries), _QUERY_BLOCK)
        parts = [_Best(self._queries[start : start + _QUERY_BLOCK], self._k) for start in starts]
        for places, rows in self._blocks():
            query, row = self._left_out(places)
            for start, best in zip(starts, parts, strict=True):
                own = slice(*np.searchsorted(query, [start, start + _QUERY_BLOCK]))
                self._compare(best, rows, places, (query[own] - start, row[own]))
        found = [best.best_first() for best in parts]
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])

    def above(self, query: int, least: float) -> Indices:
        """Return the places of all items whose product with a query is at least `least`."""
        near = [
            places[(rows @ self._queries[query] >= least).numpy()]
            for places, rows in self._blocks()
        ]
        gone = self._gone[1][slice(*np.searchsorted(self._gone[0], [query, query + 1]))]
        return np.setdiff1d(np.concatenate(near), gone, assume_unique=True)

    def _blocks(self) -> Iterator[tuple[Indices, Tensor]]:
        """Yield places `[n]` and vectors `[n, D]` of items that may be shown."""
        for start in range(0, len(self._allowed), _MOST_ITEMS):
            places = self._allowed[start : start + _MOST_ITEMS]
            first, last = int(places[0]), int(places[-1])
            whole = last - first == len(places) - 1  # a slice, which copies nothing twice
            yield places, self._rows(slice(first, last + 1) if whole else places)

    def _left_out(self, places: Indices) -> tuple[Indices, Indices]:
        """Return the (query, row of the block) pairs to leave out, by query."""
        query, place = self._gone
        row = np.searchsorted(places, place).clip(max=len(places) - 1)
        hit = places[row] == place
        return query[hit], row[hit]

    def _compare(
        self, best: _Best, rows: Tensor, places: Indices, gone: tuple[Indices, Indices]
    ) -> None:
        """Compare the best items of some queries with a block."""
        query, row = gone
        for start in range(0, len(rows), self._columns):
            part = slice(start, start + self._columns)
            found = self._products(best.queries, rows[part])
            there = (row >= start) & (row < part.stop)
            found[query[there], row[there] - start] = -np.inf
            best.add(found, places[part])

    def _products(self, queries: Tensor, rows: Tensor) -> Floats:
        """Return inner products `[Q, C]`, with columns of -inf that make the last group whole."""
        count = len(rows)
        columns = -(-count // _GROUP) * _GROUP
        if len(self._room) < len(queries) * columns:
            self._room = torch.empty(len(queries) * columns)
        found = self._room[: len(queries) * columns].view(len(queries), columns)
        torch.mm(queries, rows.T, out=found[:, :count])
        found[:, count:] = -torch.inf
        return found.numpy()


class _Best:
    """The best items of some queries `[Q, k]`, in any order, and pending ones that may be."""

    def __init__(self, queries: Tensor, k: int) -> None:
        self.queries = queries
        self._k = k
        self._places = np.full((len(queries), k), -1)
        self._scores = np.full((len(queries), k), -np.inf, np.float32)
        self._least = np.full(len(queries), -np.inf, np.float32)  # of the k
        self._pending: list[tuple[Indices, Indices, Floats]] = []  # queries, places, scores
        self._waiting = 0
        self._empty = True

    def add(self, found: Floats, places: Indices) -> None:
        """Compare with the products `[Q, C]` of a piece, in whole groups; `places` `[n]`."""
        if self._empty:
            self._empty = False
            columns = largest_columns(found, self._k)
            scores = np.take_along_axis(found, columns, 1)
            self._merge(scores, places[np.minimum(columns, len(places) - 1)])
            return
        groups = found.reshape(len(found), -1, _GROUP)
        better = np.flatnonzero(_maxima(groups) > self._least[:, None])
        query, group = np.divmod(better, groups.shape[1])
        members = groups[query, group]
        member = np.flatnonzero(members > self._least[query, None])
        within, column = np.divmod(member, _GROUP)
        at = places[group[within] * _GROUP + column]
        self._pending.append((query[within], at, members.ravel()[member]))
        self._waiting += len(member)
        if self._waiting > _PENDING * len(found):
            self._merge_pending()

    def best_first(self) -> tuple[Indices, Floats]:
        """Return the places `[Q, k]` of the items and their products."""
        self._merge_pending()
        order = np.argsort(-self._scores, axis=1)
        scores = np.take_along_axis(self._scores, order, 1)
        return np.take_along_axis(self._places, order, 1), scores

    def _merge_pending(self) -> None:
        if not self._pending:
            return
        query = np.concatenate([part[0] for part in self._pending])
        at = np.concatenate([part[1] for part in self._pending])
        value = np.concatenate([part[2] for part in self._pending])
        self._pending, self._waiting = [], 0
        order = np.argsort(query, kind="stable")
        counts = np.bincount(query, minlength=len(self._scores))
        column = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        scores = np.full((len(counts), int(counts.max(initial=0))), -np.inf, np.float32)
        places = np.full(scores.shape, -1)
        scores[query[order], column], places[query[order], column] = value[order], at[order]
        self._merge(scores, places)

    def _merge(self, scores: Floats, places: Indices) -> None:
        """Keep the best k of those known and of others `[Q, m]`."""
        scores = np.concatenate([self._scores, scores], axis=1)
        kept = largest_columns(scores, self._k)
        self._scores = np.take_along_axis(scores, kept, 1)
        self._places = np.take_along_axis(np.concatenate([self._places, places], 1), kept, 1)
        self._least = self._scores.min(1)


def largest_columns(scores: Floats, k: int) -> Indices:
    """Return the columns `[Q, k]` of the k largest of each row `[Q, C]`, in any order; C if fewer.

    The k largest lie in the k groups of neighbours with the largest maxima, so all but those are
    looked at once, for their maximum.
    """
    columns = scores.shape[1]
    if columns < _WORTH_GROUPING * k * _GROUP:
        return _partitioned(scores, k)
    whole = columns // _GROUP * _GROUP
    groups = scores[:, :whole].reshape(len(scores), -1, _GROUP)
    chosen = _partitioned(_maxima(groups), k)  # [Q, k]
    members = (chosen[:, :, None] * _GROUP + np.arange(_GROUP)).reshape(len(scores), -1)
    rest = np.broadcast_to(np.arange(whole, columns), (len(scores), columns - whole))
    members = np.concatenate([members, rest], axis=1)
    best = _partitioned(np.take_along_axis(scores, members, 1), k)
    return np.take_along_axis(members, best, 1)


def _partitioned(scores: Floats, k: int) -> Indices:
    """Return the result of `largest_columns`, for few columns."""
    columns = scores.shape[1]
    if columns <= k:
        return np.tile(np.arange(columns), (len(scores), 1))
    return np.argpartition(scores, columns - k, axis=1)[:, columns - k :]


def _maxima(groups: Floats) -> Floats:
    """Return the maxima `[Q, G]` of groups `[Q, G, members]`."""
    return torch.from_numpy(groups).amax(2).numpy()
