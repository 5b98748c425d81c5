"""Learn vocabularies from training rows, and extend them from one training run to the next.

New values are added, old ones are dropped. Counts are frames of `value`, `count` and `last`, the
number of the training that saw the value last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.values.codes import RESERVED_CODES, UNSEEN, HashTable, Vocabulary, hash_table
from crosstower.values.columns import settled

Keep = Literal["recent", "frequent"]
"""Values that stay beyond a vocabulary's maximum size: those seen last, or those seen most."""

PENDING = 100_000
"""Values outside a vocabulary that are counted on, at least; as many as the vocabulary has."""

COLUMNS = {"count": pl.Int64, "last": pl.Int64}


@dataclass
class VocabularyFit:
    """Counts values chunk by chunk; memory grows with distinct values, not with rows.

    Values met before are found by their hash and counted by number. New ones wait until they are
    as many.

    Args:
        min_count: values seen less often are left out.
        max_size: maximum number of values.
        keep: the values that stay if there are more.
        earlier: counts of former training runs.
        training: number of this training, from 1.

    """

    min_count: int
    max_size: int | None
    keep: Keep = "recent"
    earlier: pl.DataFrame | None = None
    training: int = 1
    _values: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.Int64))
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _table: HashTable | None = None
    _new: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame])
    _finished: Vocabulary | None = None

    def add(self, values: pl.Series) -> None:
        """Count the canonical ids of one chunk."""
        ids = values.drop_nulls()
        new = self._count_known(ids.cast(pl.String) if self._values.dtype == pl.String else ids)
        if len(new):
            self._new.append(new.alias("value").value_counts(name="count"))
        if sum(part.height for part in self._new) > len(self._values):
            self._take_in()

    def merge(self, other: VocabularyFit) -> None:
        """Add the counts of other rows of the same training run."""
        other.pack()
        self._new.append(other._counted())
        self._finished = None
        self._take_in()

    def pack(self) -> None:
        """Drop the index of the values, which can be made again, before a copy is sent."""
        self._take_in()

    def finish(self) -> Vocabulary:
        """Return the values seen often enough, sorted; the same object for all who share it."""
        if self._finished is None:
            self._finished = self._vocabulary()
        return self._finished

    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(chosen(self._seen(), self.min_count, self.max_size, keep=self.keep))

    def seen(self) -> pl.DataFrame:
        """Return `value`, `count`, `last` for the next training, bounded as the vocabulary is."""
        return trimmed(self._seen(), self.finish().values, keep=self.keep)

    def _seen(self) -> pl.DataFrame:
        self._take_in()
        return merged(self.earlier, begun(self._counted(), training=self.training))

    def _count_known(self, ids: pl.Series) -> pl.Series:
        """Count the ids that have numbers and return the others."""
        if len(self._values) == 0 or ids.dtype != self._values.dtype:
            return ids
        if self._table is None:
            self._table = hash_table(self._values)
        codes = self._table.codes(ids)
        seen = np.bincount(codes, minlength=RESERVED_CODES + len(self._values))
        self._counts += seen[RESERVED_CODES:]
        return ids.filter(pl.Series(codes == UNSEEN)) if seen[UNSEEN] else ids.clear()

    def _take_in(self) -> None:
        """Give numbers to the new values."""
        parts = [self._counted(), *self._new]
        text = any(p["value"].dtype == pl.String for p in parts)
        value = pl.col("value").cast(pl.String if text else pl.Int64)
        together = pl.concat([p.select(value, pl.col("count").cast(pl.Int64)) for p in parts])
        merged = together.group_by("value").agg(pl.col("count").sum())
        self._values, self._counts = merged["value"], merged["count"].to_numpy().copy()
        self._table, self._new = None, []

    def _counted(self) -> pl.DataFrame:
        return pl.DataFrame({"value": self._values, "count": self._counts})


def begun(counts: pl.DataFrame, *, training: int = 1) -> pl.DataFrame:
    """Return counts `value`, `count` of one training run, with its number `last`."""
    return counts.select("value", pl.col("count").cast(pl.Int64), last=pl.lit(training, pl.Int64))


def merged(before: pl.DataFrame | None, counts: pl.DataFrame) -> pl.DataFrame:
    """Return how often each value was seen in all training runs, and in which one last.

    Args:
        before: `value`, `count`, `last` of the earlier training runs, if there were any.
        counts: the same for the newest one.

    """
    if before is None:
        return _with_integers(counts)
    text = any(part["value"].dtype == pl.String for part in (before, counts))
    value = pl.col("value").cast(pl.String if text else pl.Int64)
    parts = [part.select(value, *COLUMNS) for part in (before, counts)]
    together = pl.concat(parts).group_by("value").agg(pl.col("count").sum(), pl.col("last").max())
    return _with_integers(together)


def _with_integers(seen: pl.DataFrame) -> pl.DataFrame:
    if seen["value"].dtype != pl.String:
        return seen
    return seen.with_columns(settled(seen["value"]).alias("value"))  # text may spell integers only


def chosen(seen: pl.DataFrame, min_count: int, max_size: int | None, *, keep: Keep) -> pl.Series:
    """Return the values of a vocabulary, sorted.

    Args:
        seen: `value`, `count`, `last`.
        min_count: less frequent values are left out.
        max_size: maximum number of values; None for no limit.
        keep: the values that stay if there are more; ties go to the other measure, then to the
            smaller value.

    """
    enough = seen.filter(pl.col("count") >= min_count)
    if max_size is not None and enough.height > max_size:
        enough = _ranked(enough, keep).head(max_size)
    return enough["value"].sort()


def trimmed(seen: pl.DataFrame, vocabulary: pl.Series, *, keep: Keep) -> pl.DataFrame:
    """Return the values to keep for the next training run, in proportion to the vocabulary.

    All values of the vocabulary stay, and of the others the best `PENDING`, or as many as the
    vocabulary has.
    """
    inside = pl.col("value").is_in(vocabulary.implode())
    others = seen.filter(~inside)
    if others.height > (most := max(len(vocabulary), PENDING)):
        others = _ranked(others, keep).head(most)
    return pl.concat([seen.filter(inside), others]).sort("value")


def _ranked(seen: pl.DataFrame, keep: Keep) -> pl.DataFrame:
    first, second = ("last", "count") if keep == "recent" else ("count", "last")
    return seen.sort([first, second, "value"], descending=[True, True, False])
