"""Popular items of a catalogue that changes, for queries of which nothing else is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from crosstower.retrieval.index.vectors import Floats
from crosstower.retrieval.online_items import OnlineItems
from crosstower.values.arrays import Indices
from crosstower.values.ids import Id

_FIRST = 5_000  # items that are looked at before all others are


class PopularItems:
    """Items by their number of training rows, of all queries or of a segment.

    Args:
        items: the catalogue as it is now.
        counts: training rows of the items of the index `[N]`.
        segments: training rows per segment and item, from `read_segments`.

    """

    def __init__(
        self, items: OnlineItems, counts: Indices, segments: pl.DataFrame | None = None
    ) -> None:
        self._items, self._counts = items, counts
        self._by_count = np.argsort(-counts, kind="stable")
        self._ends = dict[str, tuple[int, int]]()  # where a segment's items begin and end
        if segments is not None:
            segments = segments.sort(
                "segment", "rows", descending=[False, True], maintain_order=True
            )
            self._own, self._rows = segments["item"].to_numpy(), segments["rows"].to_numpy()
            sizes = segments.group_by("segment", maintain_order=True).len()
            ends = np.cumsum(sizes["len"].to_numpy()).tolist()
            names = [str(name) for name in sizes["segment"]]
            self._ends = dict(zip(names, zip([0, *ends], ends, strict=False), strict=True))

    def training_rows(self, places: Indices) -> Indices:
        """Return the number of training rows of the items at `places` `[n]`, 0 for new items."""
        base, newer = places.copy(), places >= len(self._counts)
        if newer.any():  # an item that was changed keeps its rows
            ids = self._items.as_ids(self._items.ids(places[newer]))
            base[newer] = self._items.catalogue.places_of(ids)
        return np.where(base >= 0, self._counts[base], 0).astype(np.int64)

    def has(self, segment: Id) -> bool:
        """Return whether a segment has training rows."""
        return str(segment) in self._ends

    def best(
        self, k: int, *, where: str | None, excluded: Indices, segment: Id | None = None
    ) -> tuple[Indices, Floats]:
        """Return the places of the most popular items, best first, and their training rows.

        Items without a row of the segment follow in the order of all rows, with 0 rows.

        Args:
            k: at most so many.
            where: a condition on the attributes.
            excluded: places to leave out.
            segment: a segment that `has` knows; None for all queries.

        Raises:
            QueryError: the condition is wrong.

        """
        places, counts, missing = [np.empty(0, np.int64)], [np.empty(0, np.int64)], k
        for some, rows in self._parts(segment):
            now = self._items.current(some)
            kept = np.flatnonzero((now >= 0) & ~np.isin(now, excluded))
            kept = kept[self._items.fits(now[kept], where)][:missing]
            places.append(now[kept])
            counts.append(rows[kept])
            missing -= len(kept)
            if missing <= 0:
                break
        return np.concatenate(places), np.concatenate(counts).astype(np.float32)

    def _parts(self, segment: Id | None) -> Iterator[tuple[Indices, Indices]]:
        """Yield items and their rows, the most popular ones first."""
        own = np.empty(0, np.int64)
        if segment is not None:
            part = slice(*self._ends[str(segment)])
            own = self._own[part]
            yield own, self._rows[part]
        for some in (self._by_count[:_FIRST], self._by_count[_FIRST:]):
            others = some[~np.isin(some, own)] if len(own) else some
            yield others, self._counts[others] if segment is None else np.zeros(len(others), int)
