"""Recent items as a source: by an attribute, or by their first training row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from crosstower.errors import DataError, did_you_mean
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.sources.candidate_source import Arrays, CandidateSource, Part, SourceQuery
from crosstower.retrieval.sources.registry import register_source
from crosstower.retrieval.sources.source_rows import SourceRows
from crosstower.values.arrays import Floats, Indices
from crosstower.values.instants import is_temporal, time_numbers


class RecentOptions(FrozenModel):
    """Options of recent items."""

    column: str | None = Field(
        default=None,
        description="Column of the items with a date, a time or a number, newest is largest"
        " (default: the time of the item's first training row).",
    )


@register_source("recent")
class RecentSource(CandidateSource):
    """Items, the newest first; items without a time are not found.

    The score is the time in seconds since 1970, or the number in the column. Without a column, an
    item that a server adds is newer than all items of the rows.
    """

    Options = RecentOptions

    def __init__(self, options: Any, arrays: Arrays) -> None:
        super().__init__(options, arrays)
        self._times = np.asarray(arrays["times"])
        timed = np.flatnonzero(~np.isnan(self._times))
        self._newest = timed[np.argsort(-self._times[timed], kind="stable")]
        self._latest = float(self._times[timed].max())

    @classmethod
    def fit(cls, options: RecentOptions, rows: SourceRows) -> Arrays:
        """Return the time of each item `[N]`, NaN where it is unknown.

        Raises:
            DataError: items have no such column, the rows have no times, or no item has a time.

        """
        if options.column is None:
            times = _first_rows(rows)
        else:
            columns = rows.items.attributes.columns
            if options.column not in columns:
                raise DataError(
                    f"column: items have no column '{options.column}'"
                    f"{did_you_mean(options.column, columns)}; they have: {', '.join(columns)}"
                )
            times = numbers_of(rows.items.attributes[options.column])
        if np.isnan(times).all():
            raise DataError(
                f"no item has a time in {options.column or 'the training rows'};"
                " expected dates, times or numbers; name another column"
            )
        return {"times": times}

    def parts(self, query: SourceQuery) -> Iterator[Part]:
        """Yield the items, the newest first."""
        del query
        for places in (self._newest[:5_000], self._newest[5_000:]):
            yield places, self._times[places]

    def newer(self, attributes: pl.DataFrame, known: Indices) -> Floats:
        """Return the times of items that were added or changed."""
        if self.options.column is not None:
            return numbers_of(attributes[self.options.column])
        added = known < 0
        own = self._times[np.where(added, 0, known)]  # a changed item keeps its first row
        return np.where(added, self._latest + np.cumsum(added), own)


def numbers_of(column: pl.Series) -> Floats:
    """Return dates, times or numbers, also as text, as numbers `[n]`; NaN where none is finite.

    >>> numbers_of(pl.Series(["1970-01-02", "7", "soon", "inf"])).tolist()
    [86400.0, 7.0, nan, nan]
    """
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False).fill_null(time_numbers(column))
    elif is_temporal(column.dtype):
        numbers = time_numbers(column)
    elif column.dtype.is_numeric():
        numbers = column.cast(pl.Float64)
    else:
        numbers = pl.repeat(None, len(column), dtype=pl.Float64, eager=True)
    found = numbers.fill_null(float("nan")).to_numpy().astype(np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def _first_rows(rows: SourceRows) -> Floats:
    """Return the time of each item's first training row."""
    if rows.seconds is None:
        raise DataError(
            "needs the time of each row; set retrieval.time to a column of dates or"
            " times, or name a column of the items: {kind: recent, column: released}"
        )
    frame = pl.DataFrame({"item": rows.item, "time": rows.seconds})
    first = frame.drop_nulls().group_by("item").agg(pl.col("time").min())
    times = np.full(len(rows.items), np.nan)
    times[first["item"].to_numpy()] = first["time"].to_numpy()
    return times
