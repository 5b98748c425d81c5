"""Values to codes: learned or given vocabularies, and hash buckets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.hashing import hash_ids
from crosstower.layout import MISSING, RESERVED_CODES, UNSEEN

Codes = NDArray[np.int32]
_MERGE_AFTER = 16


@dataclass(frozen=True)
class Vocabulary:
    """Known values, sorted, Int64 or String: the i-th has code `RESERVED_CODES` + i."""

    values: pl.Series

    @property
    def size(self) -> int:
        """Number of codes, reserved ones included."""
        return RESERVED_CODES + len(self.values)

    def encode(self, ids: pl.Series) -> Codes:
        """Return the code of every id; unknown ids are `UNSEEN`, nulls `MISSING`."""
        known = ids.cast(self.values.dtype, strict=False)
        if len(self.values) == 0:
            codes = np.full(len(ids), UNSEEN, dtype=np.int32)
        else:
            place = self.values.search_sorted(known.fill_null(self.values[0]))
            place = pl.Series(place).clip(upper_bound=len(self.values) - 1)
            found = (self.values.gather(place) == known).fill_null(value=False).to_numpy()
            codes = np.where(found, place.to_numpy().astype(np.int32) + RESERVED_CODES, UNSEEN)
        return np.where(ids.is_null().to_numpy(), MISSING, codes).astype(np.int32)


@dataclass(frozen=True)
class HashBuckets:
    """Ids hashed into buckets: no vocabulary, no unseen values, but collisions."""

    buckets: int

    @property
    def size(self) -> int:
        """Number of codes, reserved ones included."""
        return RESERVED_CODES + self.buckets

    def encode(self, ids: pl.Series) -> Codes:
        """Return the code of every id; nulls are `MISSING`."""
        codes = (hash_ids(ids) % np.uint64(self.buckets)).astype(np.int32) + RESERVED_CODES
        return np.where(ids.is_null().to_numpy(), MISSING, codes).astype(np.int32)


Table = Vocabulary | HashBuckets


@dataclass
class VocabularyFit:
    """Counts values chunk by chunk; memory grows with distinct values, not with rows."""

    min_count: int
    max_size: int | None
    _partial: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame])

    def add(self, ids: pl.Series) -> None:
        """Count the ids of one chunk."""
        self._partial.append(ids.drop_nulls().alias("value").value_counts(name="count"))
        if len(self._partial) >= _MERGE_AFTER:
            self._partial = [self._merged()]

    def finish(self) -> Vocabulary:
        """Return the values seen often enough, sorted."""
        counts = self._merged().filter(pl.col("count") >= self.min_count)
        if self.max_size is not None and counts.height > self.max_size:
            ranked = counts.sort(["count", "value"], descending=[True, False])
            counts = ranked.head(self.max_size)
        return Vocabulary(counts["value"].sort())

    def _merged(self) -> pl.DataFrame:
        text = any(p["value"].dtype == pl.String for p in self._partial)
        kind = pl.String if text else pl.Int64
        parts = [p.with_columns(pl.col("value").cast(kind)) for p in self._partial]
        return pl.concat(parts).group_by("value").agg(pl.col("count").sum())


def given_vocabulary(values: tuple[str | int, ...]) -> Vocabulary:
    """Return the vocabulary that a schema lists."""
    text = any(isinstance(v, str) for v in values)
    series = pl.Series([str(v) for v in values]) if text else pl.Series(values, dtype=pl.Int64)
    return Vocabulary(series.alias("value").sort())
