"""The items as a ranker reads them: cleaned and encoded once, not with each request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.cleaning.cleaner import Cleaner
from crosstower.data.content_types import ContentTypes, Names
from crosstower.data.encoders.partial import PartialEncoder
from crosstower.data.sources.source import Chunk
from crosstower.ranking.scorer import RawArrays
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.values.arrays import Indices

_ROWS = 100_000


@dataclass(frozen=True)
class CandidateRows:
    """Encoded items by place.

    `batch` holds the columns that the item alone decides, `good` `[N]` whether the ranker can read
    the item at all. Of the raw columns `arrays` has the content types and amounts that come after
    the model, `frame` those that the model reads together with columns of the query.
    """

    batch: Batch
    good: NDArray[np.bool_]
    arrays: RawArrays
    frame: pl.DataFrame

    def __len__(self) -> int:
        """Return N."""
        return len(self.good)

    def take(self, places: Indices) -> CandidateRows:
        """Return the items at `places`, in that order."""
        frame = self.frame[places] if self.frame.width else self.frame
        batch = self.batch.take(places)  # the shorter way for a request's few rows
        return CandidateRows(batch, self.good[places], take(self.arrays, places), frame)

    @staticmethod
    def concatenate(parts: Sequence[CandidateRows]) -> CandidateRows:
        """Return the items of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        frames = [part.frame for part in parts]
        return CandidateRows(
            Batch.concatenate([part.batch for part in parts]),
            np.concatenate([part.good for part in parts]),
            joined([part.arrays for part in parts], parts[0].arrays.types),
            pl.concat(frames) if frames[0].width else frames[0],
        )


def take(arrays: RawArrays, rows: Indices) -> RawArrays:
    """Return the raw columns of the chosen rows."""
    types = {name: types[rows] for name, types in arrays.types.items()}
    return RawArrays(types, {name: amounts[rows] for name, amounts in arrays.amounts.items()})


def joined(parts: Sequence[RawArrays], types_of: Iterable[str]) -> RawArrays:
    """Return the raw columns of the rows of all parts, in order; types only of some columns."""
    if len(parts) == 1:
        return parts[0]
    types = {n: ContentTypes.concatenate([p.types[n] for p in parts]) for n in types_of}
    amounts = {n: np.concatenate([p.amounts[n] for p in parts]) for n in parts[0].amounts}
    return RawArrays(types, amounts)


@dataclass(frozen=True)
class CandidateEncoder:
    """Makes `CandidateRows` of raw items.

    `cleaner` has the columns that the item alone decides, and the raw ones as extras; of these
    `types` are content types, `amounts` numbers, `framed` needed as they are.
    """

    cleaner: Cleaner
    side: PartialEncoder
    types: Sequence[str]
    amounts: Sequence[str]
    framed: Sequence[str]

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
        return CandidateRows.concatenate(parts)

    def _part(self, cleaner: Cleaner, items: pl.DataFrame) -> CandidateRows:
        frame = cleaner.clean(Chunk(items, "the items", 0, 0))
        rows = frame[ROW].to_numpy()
        good = np.zeros(items.height, dtype=bool)
        good[rows] = True
        # A place of its own for bad items too, whose codes nobody will look at.
        where = np.zeros(items.height, dtype=np.int64)
        where[rows] = np.arange(len(rows))
        raw = {name: frame[raw_name(name)].alias(name) for name in cleaner.extras}
        arrays, framed = self._arrays(raw), pl.DataFrame([raw[name] for name in self.framed])
        found = CandidateRows(self.side.encode(frame), np.ones(len(rows), bool), arrays, framed)
        if not len(rows):
            return _nothing(found, items.height)
        return replace(found.take(where), good=good)

    def _arrays(self, raw: Mapping[str, pl.Series]) -> RawArrays:
        types = {name: ContentTypes.of(raw[name]) for name in self.types}
        amounts = {name: raw[name].cast(pl.Float64).to_numpy() for name in self.amounts}
        return RawArrays(types, amounts)


def _nothing(found: CandidateRows, count: int) -> CandidateRows:
    """Return items that can all not be read, of the columns of `found`, which has no row."""
    batch = found.batch.blank(count)
    kinds = found.arrays
    types = {n: ContentTypes(np.full(count, -1, np.int32), Names()) for n in kinds.types}
    arrays = RawArrays(types, {n: np.zeros(count) for n in kinds.amounts})
    frame = found.frame.clear(count)
    return CandidateRows(batch, np.zeros(count, dtype=bool), arrays, frame)
