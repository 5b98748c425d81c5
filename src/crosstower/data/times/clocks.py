"""The clocks of a source: how each of its time columns is read, decided from all rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from crosstower.data.sources.source import Source, require_columns
from crosstower.data.times.clock import Clock
from crosstower.data.times.evidence import Evidence
from crosstower.recipe.data import Data
from crosstower.recipe.times import USUAL, TimeFormat

ClockOf = Callable[[str], Clock]


def fit_clock(
    source: Source, column: str, how: TimeFormat = USUAL, *, strict: bool = True
) -> Clock:
    """Return the clock that reads a column in all chunks and files of `source`.

    Args:
        source: read once, this column only.
        column: the data column.
        how: its format in the recipe.
        strict: refuse a value that is missing or no time; otherwise such rows have a null time.

    Raises:
        DataError: the column is missing, holds no times, or times of several kinds.

    """
    require_columns(source, [column])
    evidence = Evidence(column, how, strict)
    for chunk in source.chunks([column]):
        evidence.add(chunk.frame[column], origin=chunk.origin, first_row=chunk.first_row)
    return evidence.decide()


def clocks_of(data: Data, source: Source) -> ClockOf:
    """Return the clock of each time column on demand; a column is read once.

    Args:
        data: says how time columns are written, and whether bad rows are skipped.
        source: the rows.

    """
    strict = data.on_bad_rows == "error"

    @cache
    def clock_of(column: str) -> Clock:
        return fit_clock(source, column, data.times.get(column, USUAL), strict=strict)

    return clock_of
