"""Items that change while they are searched: those of an index, and a few newer ones.

The index is never changed: vectors stay mapped from its file, so that all workers of a machine
share them. Newer items are searched exactly, and items that they replace, or that were deleted, are
masked. Places count the items of the index first, then the newer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.layout import RESERVED_CODES
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.exact import ExactIndex, are_unit_vectors, of_unit_length
from crosstower.retrieval.index.index import ItemIndex, nearest_by_id
from crosstower.retrieval.index.vectors import Floats
from crosstower.values.arrays import Indices
from crosstower.values.codes import Vocabulary
from crosstower.values.ids import given_id, id_series

Mask = NDArray[np.bool_]


class OnlineItems:
    """A catalogue and its index, to search and to change; not safe for several threads.

    `schema` has the names and types of the attributes.

    Args:
        catalogue: the items.
        index: of the same items, in any engine and any order.
        vectors: gives the vectors `[N, D]` by place, for `similar`, where the index cannot.

    """

    def __init__(
        self, catalogue: Catalogue, index: ItemIndex, vectors: Callable[[], Floats]
    ) -> None:
        self.catalogue, self.index = catalogue, index
        self.newer: ExactIndex | None = None
        self.schema = catalogue.attributes.schema
        self._length = len(catalogue)
        self._table = Vocabulary(catalogue.ids)
        self._base = catalogue.shared()  # items of the index but those replaced or deleted
        self._exact: ExactIndex | None = None  # can be searched with a mask of places
        if isinstance(index, ExactIndex) and index.catalogue.has_order_of(catalogue):
            self._exact = index
        self._vectors = vectors
        self._unit: ExactIndex | None = None  # of `similar`
        self._unit_newer: ExactIndex | None = None

    def __len__(self) -> int:
        """Return the number of items."""
        return self._length

    @property
    def newer_count(self) -> int:
        """Number of items added or changed since the index was built."""
        return 0 if self.newer is None else len(self.newer.catalogue.ids)

    @property
    def first_newer(self) -> int:
        """Place of the first newer item, the number of items of the index."""
        return self._count

    @property
    def _count(self) -> int:
        return len(self._base.active_mask)

    def places_of(self, ids: Sequence[Any]) -> Indices:
        """Return the place of each id, -1 for an unknown one."""
        wanted = self.as_ids(ids)
        codes = self._table.encode(wanted).astype(np.int64) - RESERVED_CODES
        known = codes >= 0
        places = np.where(known & self._base.active_mask[np.where(known, codes, 0)], codes, -1)
        if self.newer is not None:
            newer = self.newer.catalogue.places_of(wanted)
            places = np.where(newer >= 0, newer + self._count, places)
        return places

    def history_places(self, ids: Sequence[Any]) -> Indices:
        """Return the place of each item of a history, -1 for an id that never was an item's.

        For an item of the index this is its place there, also once it was replaced or deleted: by
        that place the query tower knows it.

        Raises:
            QueryError: one cannot be an id.

        """
        given = self.as_ids(ids)
        places = self._table.encode(given).astype(np.int64) - RESERVED_CODES
        if self.newer is not None and (places < 0).any():
            newer = self.newer.catalogue.places_of(given)
            places = np.where((places < 0) & (newer >= 0), newer + self._count, places)
        return np.maximum(places, -1)

    def current(self, places: Indices) -> Indices:
        """Return where the items of a history are now, -1 for one that was deleted."""
        if self._base.all_active:
            return places
        base = places < self._count
        moved = np.flatnonzero(base & ~self._base.active_mask[np.where(base, places, 0)])
        if not len(moved):
            return places
        found = np.full(len(moved), -1)
        if self.newer is not None:
            newer = self.newer.catalogue.places_of(self.catalogue.ids.gather(places[moved]))
            found = np.where(newer >= 0, newer + self._count, -1)
        now = places.copy()
        now[moved] = found
        return now

    def as_ids(self, ids: Sequence[Any]) -> pl.Series:
        """Return canonical ids; null where one is empty.

        Raises:
            QueryError: one cannot be an id.

        """
        found = [None if i is None or i == "" else given_id("item", i) for i in ids]
        return id_series(found)

    def ids(self, places: Indices) -> list[Any]:
        """Return the ids at `places`."""
        return self._each(places, Catalogue.ids_at)

    def column(self, places: Indices, name: str) -> pl.Series:
        """Return a column `[n]` of the items at `places`."""
        if self.newer is None:
            return self.catalogue.column(name).gather(places)
        cells = self._each(places, lambda part, at: part.column(name).gather(at).to_list())
        return pl.Series(name, cells, dtype=self.catalogue.column(name).dtype)

    def rows(self, places: Indices) -> pl.DataFrame:
        """Return the attributes `[n]` of the items at `places` as columns."""
        return pl.DataFrame([self.column(places, name) for name in self.schema])

    def vectors(self, places: Indices) -> Floats:
        """Return the vectors `[n, D]` of the items at `places`."""
        base, newer = self._split(places)
        old = places[base]
        rows = self._exact.vectors.rows(old).numpy() if self._exact else self._vectors()[old]
        found = np.empty((len(places), rows.shape[1]), dtype=np.float32)
        found[base] = rows
        if self.newer is not None and newer.any():
            found[newer] = self.newer.vectors.rows(places[newer] - self._count).numpy()
        return found

    def fulfilling(self, where: str) -> Indices:
        """Return the places of the items that fulfil a condition; errors as `nearest`."""
        found = [np.flatnonzero(self._base.fits(where))]
        if self.newer is not None:
            found.append(np.flatnonzero(self.newer.catalogue.fits(where)) + self._count)
        return np.concatenate(found)

    def attributes(self, places: Indices) -> list[dict[str, Any]]:
        """Return the attributes of the items at `places`, a dictionary per item."""
        return self._each(places, Catalogue.attributes_at)

    def _each(
        self, places: Indices, found_at: Callable[[Catalogue, Indices], list[Any]]
    ) -> list[Any]:
        """Return the ids or attributes of the items at `places`, old or new."""
        base, newer = self._split(places)
        if self.newer is None or not newer.any():
            return found_at(self.catalogue, places)
        out = np.empty(len(places), dtype=object)
        both = ((self.catalogue, base, 0), (self.newer.catalogue, newer, self._count))
        for catalogue, mine, first in both:
            found = found_at(catalogue, places[mine] - first)
            for place, value in zip(np.flatnonzero(mine), found, strict=True):
                out[place] = value
        return out.tolist()

    def nearest(
        self, x: Floats, k: int, *, where: str | None = None, excluded: Indices | None = None
    ) -> tuple[Indices, Floats]:
        """Return the places of the best items of one query, best first, and inner products.

        Args:
            x: the query `[1, D]`.
            k: at most so many.
            where: a condition on the attributes.
            excluded: places to leave out.

        Raises:
            QueryError: the condition is wrong.

        """
        out = np.empty(0, np.int64) if excluded is None else excluded
        return self.nearest_each(x, k, where=where, excluded=[out])[0]

    def nearest_each(
        self, x: Floats, k: int, *, where: str | None = None, excluded: Sequence[Indices]
    ) -> list[tuple[Indices, Floats]]:
        """Return the result of `nearest` per query `[Q, D]`, with places to leave out of each.

        A result does not depend on the other queries. Engines that cannot be searched by place get
        one query at a time.
        """
        k = max(1, min(k, self._length))
        if self._exact is not None:
            return self._search(self._exact, self.newer, x, k, where=where, excluded=excluded)
        found: list[tuple[Indices, Floats]] = []
        for query, out in enumerate(excluded):
            own = x[query : query + 1]
            found += self._search(None, self.newer, own, k, where=where, excluded=[out])
        return found

    def similar(self, place: int, k: int, *, where: str | None = None) -> tuple[Indices, Floats]:
        """Return the items nearest to one by the cosine, without itself; otherwise as `nearest`."""
        if self._unit is None:
            exact = self._exact or ExactIndex.build(self.catalogue.ids, self._vectors())
            self._unit = exact if are_unit_vectors(exact.vectors) else of_unit_length(exact)
        newer = self.newer
        if newer is not None:  # vectors of clients may have any length
            newer = self._unit_newer = self._unit_newer or of_unit_length(newer)
        index = self._unit if place < self._count or newer is None else newer
        at = place if index is self._unit else place - self._count
        vector = index.vectors.rows(np.array([at])).numpy()
        unit = (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
        out = [np.array([place])]
        return self._search(self._unit, newer, unit, k, where=where, excluded=out)[0]

    def _search(
        self,
        base: ExactIndex | None,
        newer: ExactIndex | None,
        x: Floats,
        k: int,
        *,
        where: str | None,
        excluded: Sequence[Indices],
    ) -> list[tuple[Indices, Floats]]:
        """Return the best items of each query; without `base` those of another engine, for one."""
        query = np.repeat(np.arange(len(x)), [len(out) for out in excluded])
        out, count = np.concatenate(excluded), self._count
        query, out = query[out >= 0], out[out >= 0]  # an id that is not an item has place -1
        old = out < count
        if base is None:
            found = [nearest_by_id(self.index, self._base, x, k, where=where, excluded=out[old])]
        else:
            allowed = self._base.survivors(where)
            found = [base.nearest(x, k, allowed=allowed, excluded=(query[old], out[old]))]
        if newer is not None:
            fits = newer.catalogue.survivors(where)
            pairs = query[~old], out[~old] - count
            places, scores = newer.nearest(x, k, allowed=fits, excluded=pairs)
            found.append((np.where(places >= 0, places + count, -1), scores))
        places, scores = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        return [_best(*one, k) for one in zip(places, scores, strict=True)]

    def fits(self, places: Indices, where: str | None) -> Mask:
        """Return which of the items at `places` fulfil a condition; errors as `nearest`."""
        if where is None:
            return np.ones(len(places), dtype=bool)
        base, newer = self._split(places)
        out = np.zeros(len(places), dtype=bool)
        out[base] = self._base.fits(where)[places[base]]
        if self.newer is not None:
            out[newer] = self.newer.catalogue.fits(where)[places[newer] - self._count]
        return out

    def put(self, ids: pl.Series, attributes: pl.DataFrame, vectors: Floats) -> Mask:
        """Add items, or put them in the place of those with the same ids.

        Returns:
            Which of the newer items before are kept, in their order; the new ones follow them.

        """
        kept = self._without(ids)
        if self.newer is None or not kept.any():
            self.newer = ExactIndex.build(ids, vectors, attributes)
        else:
            self.newer = self._kept(kept)
            self.newer.add(ids, vectors, attributes)
        self._length = len(self._base) + self.newer_count
        return kept

    def delete(self, ids: pl.Series) -> Mask:
        """Remove items; unknown ids are ignored.

        Returns:
            Which of the newer items before are kept, in their order.

        """
        kept = self._without(ids)
        self.newer = self._kept(kept) if self.newer is not None and kept.any() else None
        self._length = len(self._base) + self.newer_count
        return kept

    def _without(self, ids: pl.Series) -> Mask:
        """Mask the items of the index with these ids; return which newer ones have other ids."""
        codes = self._table.encode(ids).astype(np.int64) - RESERVED_CODES
        self._base.drop(codes[codes >= 0])
        self._unit_newer = None
        if self.newer is None:
            return np.empty(0, dtype=bool)
        replaced = self.newer.catalogue.places_of(ids)
        kept = np.ones(len(self.newer.catalogue.ids), dtype=bool)
        kept[replaced[replaced >= 0]] = False
        return kept

    def _kept(self, kept: Mask) -> ExactIndex:
        index, places = self.newer, np.flatnonzero(kept)
        return ExactIndex(index.catalogue.take(places), index.vectors.take(places))  # type: ignore[union-attr]

    def _split(self, places: Indices) -> tuple[Mask, Mask]:
        base = places < self._count
        return base, ~base


def _best(places: Indices, scores: Floats, k: int) -> tuple[Indices, Floats]:
    """Return the k best existing places (not -1)."""
    there = np.flatnonzero(places >= 0)
    order = there[np.argsort(-scores[there], kind="stable")][:k]
    return places[order], scores[order]
