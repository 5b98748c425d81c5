"""Candidates of a search by inner product: the items with the largest ones, piece by piece.

The products of queries with a piece of the items stay in the CPU's caches, where those that are not
among the best so far are dropped. Neighbouring items form groups, of which only the maximum is
compared, so most items cost a product and nothing else.

Shapes: Q queries, D width of a vector, n items, k items to find, C items of a piece.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.values.arrays import Indices

Floats = NDArray[np.float32]

_QUERY_BLOCK = 512  # queries that are compared with a piece at once
_PIECE, _MOST_COLUMNS = 2**19, 2**15  # products of a piece (2 MiB), and its most columns
_GROUP, _WORTH_GROUPING = 32, 2
_PENDING = 16  # of a query, on average, until they are merged


class NearestItems:
    """The k items with the largest inner products of each query, so far.

    >>> nearest = NearestItems(torch.tensor([[1.0, 0.0]]), k=2)
    >>> rows = torch.tensor([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]])
    >>> nearest.add(rows, np.array([10, 20, 30]), (np.array([0]), np.array([2])))
    >>> nearest.best_first()
    (array([[20, 10]]), array([[3., 1.]], dtype=float32))

    Args:
        queries: `[Q, D]` float32.
        k: at least 1.

    """

    def __init__(self, queries: Tensor, k: int) -> None:
        starts = range(0, len(queries), _QUERY_BLOCK)
        self._blocks = [_Block(queries[start : start + _QUERY_BLOCK], k) for start in starts]
        columns = _PIECE // max(min(len(queries), _QUERY_BLOCK), 1)
        self._columns = min(columns, _MOST_COLUMNS) // _GROUP * _GROUP
        self._room = torch.empty(0)  # of the products of a piece

    def add(self, rows: Tensor, places: Indices, gone: tuple[Indices, Indices]) -> None:
        """Compare with n items.

        Args:
            rows: `[n, D]` vectors.
            places: `[n]` of the items.
            gone: (query, row) pairs to leave out, by query.

        """
        for number, block in enumerate(self._blocks):
            first = number * _QUERY_BLOCK
            own = slice(*np.searchsorted(gone[0], [first, first + _QUERY_BLOCK]))
            query, row = gone[0][own] - first, gone[1][own]
            for start in range(0, len(rows), self._columns):
                part = slice(start, start + self._columns)
                found = self._products(block.queries, rows[part])
                there = (row >= start) & (row < part.stop)
                found[query[there], row[there] - start] = -np.inf
                block.add(found, places[part])

    def best_first(self) -> tuple[Indices, Floats]:
        """Return the places `[Q, k]` of the items and their products; -1, -inf where none is."""
        found = [block.best_first() for block in self._blocks]
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])

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


class _Block:
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
    """Return what `largest_columns` does, for few columns."""
    columns = scores.shape[1]
    if columns <= k:
        return np.broadcast_to(np.arange(columns), scores.shape)
    return np.argpartition(scores, columns - k, axis=1)[:, columns - k :]


def _maxima(groups: Floats) -> Floats:
    """Return the maxima `[Q, G]` of groups `[Q, G, members]`."""
    return torch.from_numpy(groups).amax(2).numpy()
