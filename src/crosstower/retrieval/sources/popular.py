"""Popular items as a source: of all rows, of a segment, or of a recent window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from crosstower.data.counters.keys import hashes_of
from crosstower.errors import DataError
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.popular_items import PopularOrder
from crosstower.retrieval.sources.candidate_source import Arrays, CandidateSource, Part, SourceQuery
from crosstower.retrieval.sources.registry import register_source
from crosstower.retrieval.sources.source_rows import SourceRows
from crosstower.retrieval.sources.trend import Trend, window_of
from crosstower.values.arrays import Floats, Indices
from crosstower.values.durations import Duration, duration_text

_EVER = -(2**53)  # microseconds since 1970, long ago


class PopularOptions(FrozenModel):
    """Options of popular items."""

    segment: bool = Field(
        default=False,
        description="Count the rows of the query's segment (retrieval.segment) first.",
    )
    window: Duration | None = Field(
        default=None,
        description="Count only the rows of this time before the newest one, such as 7d; in a"
        " server also the events of retrieval.history.",
    )


@register_source("popular")
class PopularSource(CandidateSource):
    """Items by their number of training rows; items without a row are not found.

    With a window and without segments, `trend` counts the events of a server as well.
    """

    Options = PopularOptions

    def __init__(self, options: Any, arrays: Arrays) -> None:
        super().__init__(options, arrays)
        segments = None
        if "segment" in arrays:
            names = ("segment", "item", "rows")
            segments = pl.DataFrame({name: np.asarray(arrays[name]) for name in names})
        self._order = PopularOrder(np.asarray(arrays["counts"]), segments)
        self.trend: Trend | None = None
        if options.window is not None and Trend.has(arrays):
            self.trend = Trend(options.window, arrays)
            self._seen = self.trend.version

    @classmethod
    def fit(cls, options: PopularOptions, rows: SourceRows) -> Arrays:
        """Return the counts, and those per segment.

        Raises:
            DataError: the rows have no times, or no segment.

        """
        kept = np.arange(len(rows.item)) if options.window is None else _newest(rows, options)
        found: dict[str, NDArray[Any]] = {"counts": rows.counts(kept)}
        if not options.segment and options.window is not None:
            ids = rows.items.ids
            trend = Trend.fit(options.window, ids.gather(rows.item[kept]), _times(rows)[kept])
            column = retrieval_section_of(rows.recipe).item
            found |= {"keys": hashes_of(ids), "column": np.array([column], dtype=np.str_), **trend}
        if not options.segment:
            return found
        if rows.segment is None:
            raise DataError(
                "segment: true needs retrieval.segment, the data column of"
                " the segment; set it, or drop segment"
            )
        pairs = pl.DataFrame({"segment": rows.segment[kept], "item": rows.item[kept]})
        counts = pairs.drop_nulls().group_by("segment", "item").len("rows").sort("segment", "item")
        names = counts["segment"].cast(pl.String).to_list()
        return found | {
            "segment": np.array(names, dtype=np.str_),
            "item": counts["item"].to_numpy(),
            "rows": counts["rows"].to_numpy().astype(np.int64),
        }

    def parts(self, query: SourceQuery) -> Iterator[Part]:
        """Yield items with rows, those of the segment first."""
        order = self._current()
        for places, counts in order.parts(query.segment):
            kept = order.counts[places] > 0
            yield places[kept], counts[kept].astype(np.float64)

    def newer(self, attributes: pl.DataFrame, known: Indices) -> Floats | None:
        """Return the counts of items that were added or changed, if events are counted."""
        del known
        if self.trend is None:
            return None
        counts = self.trend.counts(attributes[str(self.arrays["column"][0])])
        return np.where(counts > 0, counts, np.nan)

    def _current(self) -> PopularOrder:
        """Return the order of the items, with the events so far."""
        trend = self.trend
        if trend is not None and trend.version != self._seen:
            counts = trend.counts_of(np.asarray(self.arrays["keys"]))
            self._order, self._seen = PopularOrder(counts), trend.version
        return self._order


def _newest(rows: SourceRows, options: PopularOptions) -> Indices:
    """Return the rows within the window that ends with the last one."""
    window = options.window or 0.0
    if rows.seconds is None:
        raise DataError(
            f"window: {duration_text(window)} needs the time of each row;"
            " set retrieval.time to a column of dates or times, or drop window"
        )
    times = _times(rows)
    return np.flatnonzero(times >= window_of(window).start(int(times.max()) + 1))


def _times(rows: SourceRows) -> NDArray[np.int64]:
    """Return the time of each row `[R]` in nanoseconds since 1970; the least for a missing one."""
    seconds = pl.Series([], dtype=pl.Float64) if rows.seconds is None else rows.seconds
    microseconds = (seconds * 1e6).round().cast(pl.Int64)
    return microseconds.fill_null(_EVER).to_numpy() * 1_000
