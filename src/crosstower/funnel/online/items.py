"""Items that can change while they are asked for: those of the bundle, and a few newer ones.

The bundle's own are never changed: their vectors stay mapped from the file, so that all workers
of a machine share them. Newer ones are searched exactly beside them, and what they replace, or
what was deleted, is left out. Indices count the bundle's items first, then the newer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.encoders.tables import Vocabulary
from crosstower.data.layout import RESERVED_CODES
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.vectors import Floats, Vectors
from crosstower.values.arrays import Indices
from crosstower.values.ids import given_id, id_of

Mask = NDArray[np.bool_]
_SAME_LENGTH, _TINY = 1e-3, 1e-12
_FEW = 50  # cells


class LiveItems:
    """A catalogue and its vectors, to search and to change; not safe for several threads."""

    def __init__(self, base: ExactIndex) -> None:
        self.base = base
        self.newer: ExactIndex | None = None
        self._table = Vocabulary(base.catalogue.ids)
        self._base = base.catalogue.shared()  # the bundle's items but those replaced or deleted
        self._unit: ExactIndex | None = None
        self._unit_newer: ExactIndex | None = None
        self._level = _is_level(base.vectors)

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self._base) + self.newer_count

    @property
    def newer_count(self) -> int:
        """How many items the bundle did not have, or has otherwise."""
        return 0 if self.newer is None else len(self.newer.vectors)

    @property
    def _count(self) -> int:
        return len(self._base.active_mask)

    @property
    def schema(self) -> pl.Schema:
        """Names and types of the attributes."""
        return self.base.catalogue.attributes.schema

    def places_of(self, ids: Sequence[Any]) -> Indices:
        """Return the place of each id, -1 for one that is not there."""
        asked = self.as_ids(ids)
        codes = self._table.encode(asked).astype(np.int64) - RESERVED_CODES
        known = codes >= 0
        places = np.where(known & self._base.active_mask[np.where(known, codes, 0)], codes, -1)
        if self.newer is not None:
            newer = self.newer.catalogue.places_of(asked)
            places = np.where(newer >= 0, newer + self._count, places)
        return places

    def still(self, places: Indices) -> Indices:
        """Return places of the bundle's own items, -1 for one that is gone or replaced."""
        return np.where(self._base.active_mask[places], places, -1)

    def as_ids(self, ids: Sequence[Any]) -> pl.Series:
        """Return canonical ids; null where one is empty.

        Raises:
            QueryError: one cannot be an id.

        """
        found = [None if i is None or i == "" else given_id("item", i) for i in ids]
        if any(type(i) is str for i in found):
            return pl.Series([None if i is None else str(i) for i in found], dtype=pl.String)
        return pl.Series(found, dtype=pl.Int64)

    def ids(self, places: Indices) -> list[Any]:
        """Return the ids at `places`."""
        return self._each(places, _ids_at)

    def attributes(self, places: Indices) -> list[dict[str, Any]]:
        """Return the attributes of the items at `places`, a dictionary each."""
        return self._each(places, _attributes_at)

    def _each(
        self, places: Indices, found_at: Callable[[Catalogue, Indices], list[Any]]
    ) -> list[Any]:
        """Return what is found of the items at `places`, be they the bundle's or newer."""
        base, newer = self._split(places)
        if self.newer is None or not newer.any():
            return found_at(self.base.catalogue, places)
        out = np.empty(len(places), dtype=object)
        for index, mine, first in ((self.base, base, 0), (self.newer, newer, self._count)):
            found = found_at(index.catalogue, places[mine] - first)
            for place, value in zip(np.flatnonzero(mine), found, strict=True):
                out[place] = value
        return out.tolist()

    def vector(self, place: int) -> Floats:
        """Return the vector `[1, D]` of an item."""
        count = self._count
        if place < count:
            return self.base.vectors.rows(np.array([place])).numpy()
        return self.newer.vectors.rows(np.array([place - count])).numpy()  # type: ignore[union-attr]

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
        return self.nearest_of_each(x, k, where=where, excluded=[out])[0]

    def nearest_of_each(
        self, x: Floats, k: int, *, where: str | None = None, excluded: Sequence[Indices]
    ) -> list[tuple[Indices, Floats]]:
        """Return what `nearest` does for each of several queries `[Q, D]`.

        Each is searched on its own: a product of matrices rounds by its shape, so that the order
        of two near items would depend on the queries that are asked together.

        Args:
            x: the queries.
            k: at most so many.
            where: a condition on the attributes.
            excluded: places to leave out, of each query; -1 is none.

        Raises:
            QueryError: the condition is wrong.

        """
        indexes = (self.base, self.newer)
        return [
            self._search(indexes, query[None], k, where=where, excluded=out)
            for query, out in zip(x, excluded, strict=True)
        ]

    def similar(self, place: int, k: int, *, where: str | None = None) -> tuple[Indices, Floats]:
        """Return the items nearest to one by the cosine, without itself; otherwise as `nearest`."""
        vector = self.vector(place)
        unit = vector / max(float(np.linalg.norm(vector)), _TINY)
        indexes = (self.base, self.newer)
        if not self._level:
            self._unit = self._unit or _of_unit_length(self.base)
            if self.newer is not None:
                self._unit_newer = self._unit_newer or _of_unit_length(self.newer)
            indexes = (self._unit, self._unit_newer)
        return self._search(indexes, unit, k, where=where, excluded=np.array([place]))

    def _search(
        self,
        indexes: tuple[ExactIndex, ExactIndex | None],
        x: Floats,
        k: int,
        *,
        where: str | None,
        excluded: Indices,
    ) -> tuple[Indices, Floats]:
        """Return the best items of the bundle and of the newer ones together, for one query."""
        (base, newer), count = indexes, self._count
        out = excluded[excluded >= 0]  # an id that is no item has place -1
        query, old, allowed = np.zeros_like(out), out < count, self._base.survivors(where)
        found = [base.nearest(x, k, allowed=allowed, excluded=(query[old], out[old]))]
        if newer is not None:
            fits = newer.catalogue.survivors(where)
            pairs = query[~old], out[~old] - count
            places, scores = newer.nearest(x, k, allowed=fits, excluded=pairs)
            found.append((np.where(places >= 0, places + count, -1), scores))
        places, scores = (np.concatenate(parts, axis=1)[0] for parts in zip(*found, strict=True))
        return _best(places, scores, k)

    def fits(self, places: Indices, where: str | None) -> Mask:
        """Return which of the items at `places` fulfil a condition.

        Raises:
            QueryError: the condition is wrong.

        """
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
        catalogue = Catalogue(ids, attributes)
        if self.newer is None or not kept.any():
            self.newer = ExactIndex.build(ids, vectors, attributes)
        else:
            self.newer = self._kept(kept)
            self.newer.add(catalogue.ids, vectors, catalogue.attributes)
        return kept

    def delete(self, ids: pl.Series) -> Mask:
        """Take items out; ids that are not there are left alone.

        Returns:
            Which of the newer items before are kept, in their order.

        """
        kept = self._without(ids)
        self.newer = self._kept(kept) if self.newer is not None and kept.any() else None
        return kept

    def _without(self, ids: pl.Series) -> Mask:
        """Mark the bundle's items of these ids, and return which newer ones are not of them."""
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


def _ids_at(catalogue: Catalogue, places: Indices) -> list[Any]:
    ids = catalogue.ids
    if len(places) <= _FEW:  # cell by cell, without a query engine
        found = [ids[place] for place in places.tolist()]
    else:
        found = ids.gather(places).to_list()
    return found if ids.dtype != pl.String else [id_of(i) for i in found]


def _attributes_at(catalogue: Catalogue, places: Indices) -> list[dict[str, Any]]:
    table = catalogue.attributes
    if len(places) <= _FEW:
        return [table.row(place, named=True) for place in places.tolist()]
    return table[places].to_dicts()


def _is_level(vectors: Vectors) -> bool:
    """Return whether vectors are equally long, so that the inner product orders as the cosine."""
    some = vectors.rows(slice(0, 1_000)).norm(dim=1)
    return bool((some.max() - some.min()) <= _SAME_LENGTH * some.max())


def _of_unit_length(index: ExactIndex) -> ExactIndex:
    rows = index.vectors.rows(slice(0, None))
    unit = rows / rows.norm(dim=1, keepdim=True).clamp(min=_TINY)
    return ExactIndex(index.catalogue, Vectors(unit.numpy(), "float32"))


def _best(places: Indices, scores: Floats, k: int) -> tuple[Indices, Floats]:
    """Return the k best of the places that are there (not -1)."""
    there = np.flatnonzero(places >= 0)
    order = there[np.argsort(-scores[there], kind="stable")][:k]
    return places[order], scores[order]
