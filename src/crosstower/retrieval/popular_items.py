"""Popular items of a changing catalogue, for queries without any known value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.retrieval.index.vectors import Floats
from crosstower.retrieval.online_items import OnlineItems
from crosstower.values.arrays import Indices
from crosstower.values.ids import Id, given_id

_FIRST = 5_000  # items that are looked at before all others are


class PopularOrder:
    """Places of items by their number of training rows, of all queries or of a segment.

    Args:
        counts: training rows of the items `[N]`.
        segments: training rows per segment and item, from `read_segments`.

    """

    def __init__(self, counts: Indices, segments: pl.DataFrame | None = None) -> None:
        self.counts = counts
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

    def has(self, segment: Id) -> bool:
        """Return whether a segment has training rows."""
        return str(segment) in self._ends

    def parts(self, segment: Id | None) -> Iterator[tuple[Indices, Indices]]:
        """Yield items and their rows, the most popular ones first.

        Items without a row of the segment follow in the order of all rows, with 0 rows.

        Args:
            segment: a segment; None, or one without training rows, for all queries.

        """
        own = np.empty(0, np.int64)
        ends = None if segment is None else self._ends.get(str(segment))
        if ends is not None:
            part = slice(*ends)
            own = self._own[part]
            yield own, self._rows[part]
        for some in (self._by_count[:_FIRST], self._by_count[_FIRST:]):
            others = some[~np.isin(some, own)] if len(own) else some
            yield others, self.counts[others] if ends is None else np.zeros(len(others), int)


class PopularItems:
    """The most popular items of a catalogue as it is now.

    Args:
        items: the catalogue.
        order: of the items of the index.

    """

    def __init__(self, items: OnlineItems, order: PopularOrder) -> None:
        self._items, self._counts, self._order = items, order.counts, order

    def training_rows(self, places: Indices) -> Indices:
        """Return the number of training rows of the items at `places` `[n]`, 0 for new items."""
        base, newer = places.copy(), places >= len(self._counts)
        if newer.any():  # an item that was changed keeps its rows
            ids = self._items.as_ids(self._items.ids(places[newer]))
            base[newer] = self._items.catalogue.places_of(ids)
        return np.where(base >= 0, self._counts[base], 0).astype(np.int64)

    def segment_of(self, name: str, value: Any) -> Id | None:
        """Return the segment that a query names; None if it is empty or has no training rows.

        Args:
            name: of the query's column.
            value: in it.

        Raises:
            QueryError: the value cannot be an id.

        """
        if value in (None, ""):
            return None
        segment = given_id(f"query: '{name}'", value)
        return segment if self._order.has(segment) else None

    def best(
        self, k: int, *, where: str | None, excluded: Indices, segment: Id | None = None
    ) -> tuple[Indices, Floats]:
        """Return the places of the most popular items, best first, and their training rows.

        Args:
            k: at most so many.
            where: a condition on the attributes.
            excluded: places to leave out.
            segment: a segment; None, or one without training rows, for all queries.

        Raises:
            QueryError: the condition is wrong.

        """
        parts = self._order.parts(segment)
        places, counts = first_fitting(parts, self._items, k, where=where, excluded=excluded)
        return places, counts.astype(np.float32)


def first_fitting(
    parts: Iterable[tuple[Indices, NDArray[Any]]],
    items: OnlineItems,
    k: int,
    *,
    where: str | None,
    excluded: Indices,
) -> tuple[Indices, NDArray[np.float64]]:
    """Return the first k items that are there and may be shown, where they are now, and scores.

    Args:
        parts: places of the index and scores, best first; read only as far as necessary.
        items: the catalogue as it is now.
        k: at most so many.
        where: a condition on the attributes.
        excluded: places to leave out.

    Raises:
        QueryError: the condition is wrong.

    """
    places, scores, missing = [np.empty(0, np.int64)], [np.empty(0)], k
    for some, score in parts:
        now = items.current(some)
        kept = np.flatnonzero((now >= 0) & ~np.isin(now, excluded))
        kept = kept[items.fits(now[kept], where)][:missing]
        places.append(now[kept])
        scores.append(score[kept])
        missing -= len(kept)
        if missing <= 0:
            break
    return np.concatenate(places), np.concatenate(scores).astype(np.float64)
