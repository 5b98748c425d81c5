"""Batches of training pairs whose history is the unordered set of the user's other items."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.data.prefetch import prefetch
from crosstower.data.ragged import Ragged
from crosstower.data.rows_per_process import filled_part_of
from crosstower.retrieval.data.pairs import PREFETCH, Pairs
from crosstower.retrieval.data.retrieval_data import RetrievalData


@dataclass(frozen=True)
class _Folds:
    """Distinct (user, item) pairs of an epoch, by user and fold, in random order within a fold.

    `items` `[P]` are their items. `fold` `[R]` is the fold of each training row, and `bounds`
    `[U, F + 1]` are the places of each user's folds in `items`.
    """

    items: Tensor
    fold: Tensor
    bounds: Tensor


class UserBatches:
    """Batches of `size` pairs, shuffled per epoch as a function of (seed, epoch).

    Each epoch divides the distinct items of a user at random into `folds` parts of equal size. The
    history of a row are the items of its user's other parts: never its own item, and all other
    items if there are as many folds as items. The rows of a part that are in a batch share one
    query. With `by_user`, the rows of a user are in one batch, so that the cost of a loss over the
    whole catalogue is that of its queries, not of its rows. Sampled losses need shuffled rows:
    else many in-batch negatives of a row are items of its own user.

    Args:
        data: of the training; the history is a bag column.
        size: pairs per batch, of all processes together.
        folds: number of parts.
        by_user: keep the rows of a user together.
        seed: of the orders and parts.
        rank: number of this process.
        processes: number of processes.

    """

    def __init__(
        self,
        data: RetrievalData,
        size: int,
        *,
        folds: int,
        by_user: bool,
        seed: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.size, self.seed, self.folds, self.rows = size, seed, folds, data.learned
        self.rank, self.processes, self._by_user = rank, processes, by_user
        self._encoder, self._queries = data.query_encoder(), data.queries
        self._learned = torch.from_numpy(data.learned)
        self._items = torch.from_numpy(data.train.items)
        counts = torch.from_numpy(data.train.lengths())
        self._user = torch.repeat_interleave(torch.arange(len(counts)), counts)
        self._first = torch.from_numpy(data.train.starts)[self._user]
        pairs = self._user * len(data.items) + self._items
        distinct, self._pair = torch.unique(pairs, return_inverse=True)  # by user
        self._pair_user, self._pair_item = distinct // len(data.items), distinct % len(data.items)
        self._pair_counts = torch.bincount(self._pair_user, minlength=len(counts))
        self._constant = _is_constant(self._queries, self._first)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return math.ceil(len(self.rows) / self.size)

    def epoch(self, epoch: int = 0, *, start: int = 0) -> Iterator[Pairs]:
        """Yield the batches of an epoch from number `start` on, prepared in the background."""
        return prefetch(self._epoch(epoch, start), depth=PREFETCH)

    def _epoch(self, epoch: int, start: int) -> Iterator[Pairs]:
        generator = torch.Generator().manual_seed((self.seed << 20) + epoch)
        folds = self._divided(generator)
        turn = torch.randperm(len(self._user), generator=generator)
        if self._by_user:
            turn = torch.randperm(len(self._pair_counts), generator=generator)[self._user]
            turn = turn * self.folds + folds.fold
        order = self._learned[torch.argsort(turn[self._learned], stable=True)]
        for rows in order.split(self.size)[start:]:
            part, _ = filled_part_of(len(rows), self.rank, self.processes)
            query, owner, history = self._shared(rows[part], folds)
            yield Pairs(query, self._items[rows], self._user[rows], owner, history)

    def _divided(self, generator: torch.Generator) -> _Folds:
        """Return each user's items in newly drawn folds of equal size."""
        mixed = torch.randperm(len(self._pair_user), generator=generator)
        order = mixed[torch.argsort(self._pair_user[mixed], stable=True)]  # by user, then random
        ends = self._pair_counts.cumsum(0)
        starts = ends - self._pair_counts
        place = torch.arange(len(order)) - starts[self._pair_user]
        # Fold f of a user with n items has the places from n·f / F on.
        steps = self._pair_counts.unsqueeze(1) * torch.arange(self.folds + 1) // self.folds
        fold = ((place + 1) * self.folds - 1) // self._pair_counts[self._pair_user]
        of_pair = torch.empty_like(fold)
        of_pair[order] = fold
        return _Folds(self._pair_item[order], of_pair[self._pair], starts.unsqueeze(1) + steps)

    def _shared(self, rows: Tensor, folds: _Folds) -> tuple[Batch, Tensor, Ragged]:
        """Return the distinct queries of some rows, the query of each row, and the histories."""
        key = self._user[rows] * self.folds + folds.fold[rows]
        if not self._constant:  # each row has query columns of its own
            key = torch.arange(len(rows))
        order = torch.arange(len(rows)) if self._by_user else torch.argsort(key, stable=True)
        _, place, counts = torch.unique_consecutive(
            key[order], return_inverse=True, return_counts=True
        )
        owner = torch.empty_like(place)
        owner[order] = place
        asking = rows[order[counts.cumsum(0) - counts]]
        history = self._histories(self._user[asking], folds.fold[asking], folds)
        codes = replace(history, values=self._encoder.codes[history.values].int())
        lists = {str(self._encoder.history): codes}
        return self._encoder.side.widen(self._queries[asking], lists), owner, history

    def _histories(self, user: Tensor, fold: Tensor, folds: _Folds) -> Ragged:
        """Return the items of the users' other folds."""
        begin, end = folds.bounds[user, 0], folds.bounds[user, -1]
        low, high = folds.bounds[user, fold], folds.bounds[user, fold + 1]
        counts = (end - begin - (high - low)).clamp(max=self._encoder.length)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        place = torch.arange(int(offsets[-1])) + (begin - offsets[:-1]).repeat_interleave(counts)
        place += (place >= low.repeat_interleave(counts)) * (high - low).repeat_interleave(counts)
        return Ragged(folds.items[place], offsets, self._encoder.length)


def _is_constant(queries: Batch, first: Tensor) -> bool:
    """Return whether all rows of a user have the same query columns; lists count as different."""
    if queries.lists:
        return False
    return all(torch.equal(t, t[first]) for t in (queries.codes, queries.numbers))
