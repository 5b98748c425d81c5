"""Popular items as a source: of all rows, of a segment, or of a recent window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from crosstower.errors import DataError
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.popular_items import PopularOrder
from crosstower.retrieval.sources.registry import register_source
from crosstower.retrieval.sources.rows import SourceRows
from crosstower.retrieval.sources.source import Arrays, CandidateSource, Part, SourceQuery
from crosstower.values.arrays import Indices
from crosstower.values.durations import Duration, duration_text


class PopularOptions(FrozenModel):
    """Options of popular items."""

    segment: bool = Field(
        default=False,
        description="Count the rows of the query's segment (retrieval.segment) first.",
    )
    window: Duration | None = Field(
        default=None,
        description="Count only the rows of this time before the last training row, such as 7d.",
    )


@register_source("popular")
class PopularSource(CandidateSource):
    """Items by their number of training rows; items without a row are not found."""

    Options = PopularOptions

    def __init__(self, options: Any, arrays: Arrays) -> None:
        super().__init__(options, arrays)
        segments = None
        if "segment" in arrays:
            names = ("segment", "item", "rows")
            segments = pl.DataFrame({name: np.asarray(arrays[name]) for name in names})
        self._order = PopularOrder(np.asarray(arrays["counts"]), segments)

    @classmethod
    def fit(cls, options: PopularOptions, rows: SourceRows) -> Arrays:
        """Return the counts, and those per segment.

        Raises:
            DataError: the rows have no times, or no segment.

        """
        kept = np.arange(len(rows.item)) if options.window is None else _newest(rows, options)
        found = {"counts": rows.counts(kept)}
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
        segment = query.segment
        if segment is not None and not self._order.has(segment):
            segment = None
        for places, counts in self._order.parts(segment):
            kept = self._order.counts[places] > 0
            yield places[kept], counts[kept].astype(np.float64)


def _newest(rows: SourceRows, options: PopularOptions) -> Indices:
    """Return the rows within the window before the last one."""
    window = options.window or 0.0
    if rows.seconds is None:
        raise DataError(
            f"window: {duration_text(window)} needs the time of each row;"
            " set retrieval.time to a column of dates or times, or drop window"
        )
    seconds = rows.seconds.fill_null(-np.inf).to_numpy()
    return np.flatnonzero(seconds > seconds.max(initial=-np.inf) - window)
