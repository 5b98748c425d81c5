"""Batches of training pairs in which each history is encoded once for all its positions."""

from __future__ import annotations

import torch
from torch import Tensor

from crosstower.data.ragged import Lists
from crosstower.errors import DataError
from crosstower.retrieval.data.pairs import PairBatches
from crosstower.retrieval.data.retrieval_data import RetrievalData


class PositionBatches(PairBatches):
    """Batches of `size` pairs in which the pairs of a user follow one another.

    Each pair is a position of its user's history, and its query reads the items before it. The
    pairs are the same as in `PairBatches`, with the same histories up to the largest length L. A
    longer history is cut into windows of L items, which begin L / 2 items apart: a pair reads the
    window that reaches furthest back, and has at least L / 2 items before it.

    A pair without an earlier item is left out if the query reads nothing but the history: its
    query is zero, and teaches nothing.

    Args:
        data: of the training, whose histories an encoder of `nn.sequences` reads.
        size: pairs per batch, of all processes together.
        seed: of the orders.
        rank: number of this process.
        processes: number of processes.

    Raises:
        DataError: no pair is left.

    """

    def __init__(
        self, data: RetrievalData, size: int, *, seed: int, rank: int = 0, processes: int = 1
    ) -> None:
        super().__init__(data, size, seed=seed, rank=rank, processes=processes)
        if not self._encoder.reads_columns:
            self._learned = self._learned[self._learned > self._starts[self._learned]]
            self.rows = self._learned.numpy()
        if not len(self.rows):
            raise DataError(
                "no training row has an earlier item of its user, and queries read nothing but the"
                " history: there is nothing to learn; give users more than one training row, or"
                " declare query columns"
            )
        places = torch.arange(len(self._starts))
        self._windows = window_starts(places - self._starts, self._encoder.length) + self._starts
        _, self._count = torch.unique_consecutive(self._windows[self._learned], return_counts=True)

    def _order(self, generator: torch.Generator) -> Tensor:
        """Return the numbers of the learned rows, window by window, in a random order of these."""
        ends = self._count.cumsum(0)
        drawn = torch.randperm(len(ends), generator=generator)
        counts = self._count[drawn]
        shift = (ends[drawn] - counts.cumsum(0)).repeat_interleave(counts)
        return shift + torch.arange(len(shift))

    def _histories(self, rows: Tensor) -> dict[str, Lists]:
        times = self._times_of(rows)
        return self._encoder.prefixes(self._items, self._windows[rows], rows, times)


def window_starts(positions: Tensor, length: int) -> Tensor:
    """Return where the window of each position begins, among windows of `length` items.

    >>> window_starts(torch.arange(10), 4).tolist()
    [0, 0, 0, 0, 0, 2, 2, 4, 4, 6]

    Args:
        positions: `[R]`, number of earlier items of each pair.
        length: L, the largest number of items that a query reads.

    """
    stride = max(length // 2, 1)
    return torch.where(positions <= length, 0, -(-(positions - length) // stride) * stride)
