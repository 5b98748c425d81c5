"""Items as an online ranker reads them: encoded when they arrive, and looked up by place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.content_types import ContentTypes, Names
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.sources.joins import JoinedSource
from crosstower.data.sources.source import Chunk, FrameSource
from crosstower.funnel.online.counters import parts_of
from crosstower.ranking.scorer import RawArrays
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.values.arrays import Indices
from crosstower.values.hashing import U64

_ROWS = 100_000


@dataclass(frozen=True)
class RankerItems:
    """Items as the ranker reads them, by place.

    `batch` holds the item-only columns, `good` `[N]` whether the ranker can read
    the item at all. Of the raw columns, `arrays` has the content types and amounts that calibration
    and blend read, and `frame` those that the model reads together with columns of the query.
    `keys` are hashes `[N]` of the columns by which events are counted.
    """

    batch: Batch
    good: NDArray[np.bool_]
    arrays: RawArrays
    frame: pl.DataFrame
    keys: Mapping[str, U64] = field(default_factory=dict[str, U64])

    def __len__(self) -> int:
        """Return N."""
        return len(self.good)

    def take(self, places: Indices) -> RankerItems:
        """Return the items at `places`, in that order."""
        frame = self.frame[places] if self.frame.width else self.frame
        batch = self.batch.take(places)  # the shorter way for a request's few rows
        keys = {name: hashes[places] for name, hashes in self.keys.items()}
        return RankerItems(batch, self.good[places], self.arrays.take(places), frame, keys)

    @staticmethod
    def concatenate(parts: Sequence[RankerItems]) -> RankerItems:
        """Return the items of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        frames = [part.frame for part in parts]
        return RankerItems(
            Batch.concatenate([part.batch for part in parts]),
            np.concatenate([part.good for part in parts]),
            RawArrays.concatenate([part.arrays for part in parts], parts[0].arrays.types),
            pl.concat(frames) if frames[0].width else frames[0],
            {n: np.concatenate([part.keys[n] for part in parts]) for n in parts[0].keys},
        )

    def unreadable(self, count: int) -> RankerItems:
        """Return items that the ranker cannot read, with the columns of these."""
        types = {n: ContentTypes(np.full(count, -1, np.int32), Names()) for n in self.arrays.types}
        arrays = RawArrays(types, {n: np.zeros(count) for n in self.arrays.amounts})
        good = np.zeros(count, dtype=bool)
        keys = {name: np.zeros(count, np.uint64) for name in self.keys}
        return RankerItems(self.batch.blank(count), good, arrays, self.frame.clear(count), keys)


class RankerItemEncoder:
    """Encodes raw items for a ranker.

    Args:
        encoder: of the item-only columns.
        cleaner: of the same columns; its extras and amounts are raw columns of items.
        joins: tables whose key is a column of the items.
        types: content types that calibration and blend read; other names are ignored.
        framed: raw columns that the model reads together with the query; other names are ignored.
        keys: raw columns by which events are counted.

    """

    def __init__(
        self,
        encoder: PartialEncoder,
        cleaner: Cleaner,
        joins: Sequence[JoinedSource],
        *,
        types: Iterable[str],
        framed: Iterable[str],
        keys: Sequence[str] = (),
    ) -> None:
        self._encoder, self._cleaner, self._joins, self._keys = encoder, cleaner, joins, keys
        self._raw_names = {name: raw_name(name) for name in cleaner.extras}
        self._types = [name for name in types if name in self._raw_names]
        self._framed = [name for name in framed if name in self._raw_names]

    def encode(self, attributes: pl.DataFrame, *, strict: bool) -> RankerItems:
        """Return items encoded.

        Args:
            attributes: raw columns, one row per item.
            strict: refuse an item that the ranker cannot read; otherwise it is marked.

        Raises:
            DataError: a cell is bad, and `strict`.

        """
        added = {n for t in self._joins for n in t.table.columns if n != t.on}
        frame = attributes.drop([*added], strict=False) if added else attributes
        for table in self._joins:
            source = replace(table, base=FrameSource(frame, "the items"))
            frame = pl.concat([chunk.frame for chunk in source.chunks(source.columns())])
        how = "error" if strict else "skip"
        cleaner = self._cleaner.fresh_copy(on_bad_rows=how)
        starts = range(0, max(frame.height, 1), _ROWS)
        parts = [self._encoded(cleaner, frame.slice(start, _ROWS)) for start in starts]
        return replace(RankerItems.concatenate(parts), keys=parts_of(frame, self._keys))

    def _encoded(self, cleaner: Cleaner, items: pl.DataFrame) -> RankerItems:
        frame = cleaner.clean(Chunk(items, "the items", 0, 0))
        raw = {name: frame[column].alias(name) for name, column in self._raw_names.items()}
        framed = pl.DataFrame([raw[name] for name in self._framed])
        arrays = raw_arrays(raw, self._types, cleaner.amounts)
        good = np.ones(frame.height, dtype=bool)
        found = RankerItems(self._encoder.encode(frame), good, arrays, framed)
        if frame.height == items.height:
            return found
        if not frame.height:
            return found.unreadable(items.height)
        rows = frame[ROW].to_numpy()
        good = np.zeros(items.height, dtype=bool)
        good[rows] = True
        # Bad items get a place as well; their codes are never read.
        where = np.zeros(items.height, dtype=np.int64)
        where[rows] = np.arange(len(rows))
        return replace(found.take(where), good=good)


class RankerTable:
    """The ranker's items of a catalogue by place: those of the index, then newer ones.

    Args:
        base: the items of the index.

    """

    def __init__(self, base: RankerItems) -> None:
        self._base, self._newer = base, base.take(np.empty(0, np.int64))

    def take(self, places: Indices) -> RankerItems:
        """Return the items at `places`, in that order."""
        count = len(self._base.good)
        newer = places >= count
        if not newer.any():
            return self._base.take(places)
        both = RankerItems.concatenate(
            [self._base.take(places[~newer]), self._newer.take(places[newer] - count)]
        )
        order = np.concatenate([np.flatnonzero(~newer), np.flatnonzero(newer)])
        return both.take(np.argsort(order))

    def keys(self, places: Indices) -> dict[str, U64]:
        """Return the hashes of the items at `places` by key column; 0 for a place of -1."""
        count, known, newer = len(self._base), places >= 0, places >= len(self._base)
        found: dict[str, U64] = {}
        for name, hashes in self._base.keys.items():
            found[name] = np.zeros(len(places), dtype=np.uint64)
            found[name][known & ~newer] = hashes[places[known & ~newer]]
            found[name][newer] = self._newer.keys[name][places[newer] - count]
        return found

    def put(self, items: RankerItems, kept: NDArray[np.bool_]) -> None:
        """Append items, after the newer ones that `kept` marks; the others are dropped."""
        self.keep(kept)
        parts = [self._newer, items] if len(self._newer) else [items]
        self._newer = RankerItems.concatenate(parts)

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Drop all newer items but those that `kept` marks."""
        if len(kept) and not kept.all():
            self._newer = self._newer.take(np.flatnonzero(kept))


def raw_arrays(
    raw: Mapping[str, pl.Series], types: Iterable[str], amounts: Iterable[str]
) -> RawArrays:
    """Return raw columns as calibration and blend read them."""
    return RawArrays(
        {name: ContentTypes.of(raw[name]) for name in types},
        {name: raw[name].cast(pl.Float64).to_numpy() for name in amounts},
    )
