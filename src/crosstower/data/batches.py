"""Shuffled, prefetched batches of encoded rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.prefetch import prefetch

_PREFETCH = 2


@dataclass(frozen=True)
class Batches:
    """Batches of `size` rows (the last one may be smaller) out of encoded rows.

    With a seed each epoch has its own order, a function of (seed, epoch) alone, so that a resumed
    run sees the same batches. Rows in memory are shuffled as a whole; rows on disk by blocks and
    then within a window of blocks.
    """

    rows: EncodedRows
    size: int
    seed: int | None = None

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return math.ceil(len(self.rows) / self.size)

    def epoch(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on, prepared in the background."""
        return prefetch(self._epoch(epoch, start), depth=_PREFETCH)

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
                if number >= start:
                    chosen = slice(at, end)
                    parts.append(window[chosen] if places is None else window.take(places[chosen]))
                seen, at = seen + end - at, end
                if seen % self.size == 0 and parts:
                    yield Batch.concatenate(parts)
                    parts = []
        if parts:
            yield Batch.concatenate(parts)


def _shuffled(rows: int, generator: torch.Generator | None) -> NDArray[Any] | None:
    if generator is None:
        return None
    kind = torch.int32 if rows < 2**31 else torch.int64  # narrow rows are not much larger
    return torch.randperm(rows, generator=generator, dtype=kind).numpy()
