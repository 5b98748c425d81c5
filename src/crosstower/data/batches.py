"""Shuffled, prefetched batches of encoded rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.prefetch import prefetch
from crosstower.data.rows_per_process import filled_part_of

PREFETCHED = 2


@dataclass(frozen=True)
class Batches:
    """Batches of `size` rows (the last one may be smaller) out of encoded rows.

    With a seed each epoch has its own order, a function of only (seed, epoch), so that a resumed
    run sees the same batches. Rows in memory are shuffled as a whole; rows on disk by blocks and
    then within a window of blocks.

    Several processes go over the same batches, and each takes its part of them. A process whose
    part is empty takes the first row without its labels.

    Args:
        rows: encoded rows.
        size: rows per batch, of all processes together.
        seed: of the orders; None keeps the order of the rows.
        rank: number of this process.
        processes: number of processes.

    """

    rows: EncodedRows
    size: int
    seed: int | None = None
    rank: int = 0
    processes: int = 1

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return math.ceil(len(self.rows) / self.size)

    def epoch(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on, prepared in the background."""
        return prefetch(self._epoch(epoch, start), depth=PREFETCHED)

    def _epoch(self, epoch: int, start: int) -> Iterator[Batch]:
        generator = None
        order = list(range(self.rows.blocks))
        if self.seed is not None:
            generator = torch.Generator().manual_seed((self.seed << 20) + epoch)
            order = torch.randperm(len(order), generator=generator).tolist()
        parts, seen = list[Batch](), 0
        for window in self.rows.windows(order):
            rows, at = len(window), 0
            places = _shuffled(rows, generator)
            while at < rows:
                number, filled = divmod(seen, self.size)
                end = min(at + self.size - filled, rows)
                chosen = self._chosen(number, filled, at, end)
                if number >= start and len(chosen):
                    own = slice(chosen.start, chosen.stop)
                    parts.append(window[own] if places is None else window.take(places[own]))
                seen, at = seen + end - at, end
                if seen % self.size == 0 and parts:
                    yield self._part(number, Batch.concatenate(parts))
                    parts = []
        if parts:
            yield self._part(len(self) - 1, Batch.concatenate(parts))

    def _chosen(self, number: int, filled: int, at: int, end: int) -> range:
        """Return which rows `at` to `end` of a window, a piece of a batch, this process takes.

        Args:
            number: of the batch.
            filled: rows of the batch before the piece.
            at: first row of the piece.
            end: row behind the piece.

        """
        if self.processes == 1:
            return range(at, end)
        part, _ = filled_part_of(self._rows_of(number), self.rank, self.processes)
        low = max(part.start - filled, 0)
        return range(at, end)[low : max(part.stop - filled, low)]

    def _part(self, number: int, batch: Batch) -> Batch:
        """Return the rows of a batch that this process takes, marked as its part of the batch."""
        if self.processes == 1:
            return batch
        total = self._rows_of(number)
        _, fills = filled_part_of(total, self.rank, self.processes)
        labels = torch.full_like(batch.labels, torch.nan) if fills else batch.labels
        return replace(batch, labels=labels, whole=total)

    def _rows_of(self, number: int) -> int:
        return min(self.size, len(self.rows) - number * self.size)


def _shuffled(rows: int, generator: torch.Generator | None) -> NDArray[Any] | None:
    if generator is None:
        return None
    kind = torch.int32 if rows < 2**31 else torch.int64  # narrow rows are not much larger
    return torch.randperm(rows, generator=generator, dtype=kind).numpy()
