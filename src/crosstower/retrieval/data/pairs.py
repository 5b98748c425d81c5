"""Batches of training pairs: queries with their histories, and their positive items."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crosstower.data.batch import Batch, recorded
from crosstower.data.prefetch import prefetch
from crosstower.data.ragged import Lists, Ragged
from crosstower.data.rows_per_process import filled_part_of
from crosstower.retrieval.data.histories import EventTimes
from crosstower.retrieval.data.query_encoder import QueryEncoder
from crosstower.retrieval.data.retrieval_data import RetrievalData

PREFETCH = 2


@dataclass(frozen=True)
class Pairs:
    """Training pairs: `query` `[B]` rows and `item` `[B]`, positions in the catalogue.

    `user` `[B]` are positions in the table of users. With several processes, each has only the
    queries of its part, and the items and users of all. Pairs may share queries: `query` then has
    distinct ones `[Q]`, `owner` `[B]` is the query of each pair of this process, and `history`
    `[Q]` has the items of each query's history, positions in the catalogue.
    """

    query: Batch
    item: Tensor
    user: Tensor
    owner: Tensor | None = None
    history: Ragged | None = None

    def __len__(self) -> int:
        """Return B."""
        return len(self.item)

    @property
    def total(self) -> int:
        """B, the pairs of all processes."""
        return len(self.item)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Pairs:
        """Return the pairs on a device."""
        return self._each(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Pairs:
        """Return the pairs in page-locked memory, which a GPU reads without the CPU."""
        return self._each(lambda t: t.pin_memory())

    def record_stream(self, stream: Any) -> None:
        """Keep the memory of the tensors until the work queued on `stream` is done."""
        self._each(lambda t: recorded(t, stream))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Pairs:
        """Return the pairs with every tensor changed alike."""
        owner = None if self.owner is None else change(self.owner)
        history = None if self.history is None else self.history.each(change)
        return Pairs(self.query.each(change), change(self.item), change(self.user), owner, history)


class PairBatches:
    """Batches of `size` pairs, shuffled per epoch as a function of (seed, epoch).

    A pair's history are the earlier items of its user in the training rows, and in the rows of
    the split "history".

    Args:
        data: of the training.
        size: pairs per batch, of all processes together.
        seed: of the orders.
        rank: number of this process.
        processes: number of processes.

    """

    def __init__(
        self, data: RetrievalData, size: int, *, seed: int, rank: int = 0, processes: int = 1
    ) -> None:
        self.size, self.seed, self.rows = size, seed, data.learned
        self.rank, self.processes = rank, processes
        self._encoder: QueryEncoder = data.query_encoder()
        self._queries = data.queries
        self._items = torch.from_numpy(data.train.items)
        self._learned = torch.from_numpy(data.learned)
        counts = torch.from_numpy(data.train.lengths())
        self._user = torch.repeat_interleave(torch.arange(len(counts)), counts)
        self._starts = torch.from_numpy(data.train.starts)[self._user]
        times = data.train.times
        self._times = None if times is None else torch.from_numpy(times)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return math.ceil(len(self.rows) / self.size)

    def epoch(self, epoch: int = 0, *, start: int = 0) -> Iterator[Pairs]:
        """Yield the batches of an epoch from number `start` on, prepared in the background."""
        return prefetch(self._epoch(epoch, start), depth=PREFETCH)

    def _epoch(self, epoch: int, start: int) -> Iterator[Pairs]:
        generator = torch.Generator().manual_seed((self.seed << 20) + epoch)
        for places in self._order(generator).split(self.size)[start:]:
            rows = self._learned[places]
            part, _ = filled_part_of(len(rows), self.rank, self.processes)
            own = rows[part]
            query = self._encoder.with_histories(self._queries[own], self._histories(own))
            yield Pairs(query, self._items[rows], self._user[rows])

    def _order(self, generator: torch.Generator) -> Tensor:
        """Return the numbers of the learned rows in the order of an epoch."""
        return torch.randperm(len(self.rows), generator=generator)

    def _histories(self, rows: Tensor) -> dict[str, Lists]:
        """Return the histories of some training rows, by the name of their column."""
        return self._encoder.lists(self._items, self._starts[rows], rows, self._times_of(rows))

    def _times_of(self, rows: Tensor) -> EventTimes | None:
        """Return the times of all events and of some training rows; None if they are not read."""
        return None if self._times is None else EventTimes(self._times, self._times[rows])
