"""Vocabularies that go on from training to training: new values come in, old ones make room."""

from __future__ import annotations

from typing import Literal

import polars as pl

from crosstower.values.columns import settled

Keep = Literal["recent", "frequent"]
"""Values that stay beyond a vocabulary's maximum size: those seen last, or those seen most."""

PENDING = 100_000
"""Values outside a vocabulary that are counted on, at least; as many as the vocabulary has."""

COLUMNS = {"count": pl.Int64, "last": pl.Int64}


def begun(counts: pl.DataFrame, *, training: int = 1) -> pl.DataFrame:
    """Return counts `value`, `count` of one training with the number of that training, `last`."""
    return counts.select("value", pl.col("count").cast(pl.Int64), last=pl.lit(training, pl.Int64))


def merged(before: pl.DataFrame | None, counts: pl.DataFrame) -> pl.DataFrame:
    """Return how often each value was seen in all trainings so far, and in which one last.

    Args:
        before: `value`, `count`, `last` of the earlier trainings, if there were any.
        counts: the same of the newest one.

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
    """Return what is worth keeping for the next training: memory stays in proportion.

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
