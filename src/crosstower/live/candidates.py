"""The items as a ranker reads them: cleaned and encoded once, not with each request."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from crosstower.batch import Batch
from crosstower.data.clean import Cleaner
from crosstower.data.side import Side
from crosstower.data.sources import Chunk

Places = NDArray[np.int64]
_ROWS = 100_000


@dataclass(frozen=True)
class CandidateRows:
    """Encoded items by place.

    `batch` holds the columns that the item alone decides, `raw` the raw columns that come after
    the model, `good` `[N]` whether the ranker can read the item at all.
    """

    batch: Batch
    raw: pl.DataFrame
    good: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return N."""
        return len(self.good)

    def take(self, places: Places) -> CandidateRows:
        """Return the items at `places`, in that order."""
        rows = torch.from_numpy(places)
        raw = self.raw[places] if self.raw.width else self.raw
        return CandidateRows(self.batch[rows], raw, self.good[places])

    @staticmethod
    def concatenate(first: CandidateRows, second: CandidateRows) -> CandidateRows:
        """Return the items of both, in order."""
        batch = Batch.concatenate([first.batch, second.batch])
        raw = pl.concat([first.raw, second.raw]) if first.raw.width else first.raw
        return CandidateRows(batch, raw, np.concatenate([first.good, second.good]))


@dataclass(frozen=True)
class CandidateEncoder:
    """Makes `CandidateRows` of raw items.

    `cleaner` has the columns that the item alone decides, and the raw ones as extras.
    """

    cleaner: Cleaner
    side: Side

    def encode(self, items: pl.DataFrame, *, strict: bool) -> CandidateRows:
        """Return raw items encoded.

        Args:
            items: a row an item.
            strict: refuse an item that the ranker cannot read; otherwise it is marked.

        Raises:
            DataError: a cell is bad, and `strict`.

        """
        how = "error" if strict else "skip"
        cleaner = replace(self.cleaner, on_bad_rows=how, skipped=Counter[str]())
        parts = [
            self._part(cleaner, items.slice(start, _ROWS))
            for start in range(0, max(items.height, 1), _ROWS)
        ]
        whole = parts[0]
        for part in parts[1:]:
            whole = CandidateRows.concatenate(whole, part)
        return whole

    def _part(self, cleaner: Cleaner, items: pl.DataFrame) -> CandidateRows:
        frame = cleaner.clean(Chunk(items, "the items", 0, 0))
        rows = frame["row"].to_numpy()
        good = np.zeros(items.height, dtype=bool)
        good[rows] = True
        # A place of its own for bad items too, whose codes nobody will look at.
        where = np.zeros(items.height, dtype=np.int64)
        where[rows] = np.arange(len(rows))
        batch = self.side.encode(frame)
        raw = frame.select(pl.col(f"raw:{name}").alias(name) for name in cleaner.extras)
        if not len(rows):
            return self._nothing(batch, raw, items.height)
        return CandidateRows(batch[torch.from_numpy(where)], _at(raw, where), good)

    def _nothing(self, batch: Batch, raw: pl.DataFrame, count: int) -> CandidateRows:
        """Return items that can all not be read."""
        blank = batch.each(lambda t: t.new_zeros((count, *t.shape[1:])))
        empty = pl.DataFrame({n: [None] * count for n in raw.columns}, schema=raw.schema)
        return CandidateRows(blank, empty, np.zeros(count, dtype=bool))


def _at(raw: pl.DataFrame, places: Places) -> pl.DataFrame:
    return raw[places] if raw.width else raw
