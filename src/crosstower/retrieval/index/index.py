"""Interface of every item index, and its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import QueryError
from crosstower.recipe.arguments import count_of
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.vectors import Floats
from crosstower.values.arrays import AnyFloats, Indices


@dataclass(frozen=True)
class Hits:
    """The best items of each query, best first.

    >>> import crosstower as ct
    >>> import numpy as np
    >>> hits = ct.Index.build(["a", "b"], np.eye(2)).search(np.array([[0.0, 1.0]]), k=1)
    >>> hits.ids(0).to_list(), hits.scores.tolist()
    (['b'], [[1.0]])

    Args:
        catalogue: ids and attributes of the items.
        places: `[Q, K]`, positions in the catalogue, -1 if fewer than K items exist.
        scores: `[Q, K]`, inner products, or scores of a merge in float64; -inf there.

    """

    catalogue: Catalogue
    places: Indices
    scores: AnyFloats

    def ids(self, query: int) -> pl.Series:
        """Return the item ids of one query."""
        places = self.places[query]
        return self.catalogue.ids.gather(places[places >= 0])

    def places_in(self, catalogue: Catalogue) -> Indices:
        """Return the places `[Q, K]` in a catalogue of any order; -1 where it has no such item."""
        return np.append(catalogue.places_of(self.catalogue.ids), -1)[self.places]

    def frame(self) -> pl.DataFrame:
        """Return one row per hit: query, rank (from 1), item_id, score."""
        query, rank = np.nonzero(self.places >= 0)
        places = self.places[query, rank]
        return pl.DataFrame(
            {
                "query": query,
                "rank": rank + 1,
                "item_id": self.catalogue.ids.gather(places),
                "score": self.scores[query, rank],
            }
        )


class ItemIndex(Protocol):
    """Vectors of items; finds those that have the largest inner product with a query."""

    def search(
        self,
        queries: NDArray[Any],
        k: int,
        *,
        where: str | None = None,
        exclude: Sequence[Any] | None = None,
    ) -> Hits:
        """Return the k best items of each query that fulfil `where` and are not excluded.

        Args:
            queries: `[Q, D]`.
            k: number of items; fewer are returned only if fewer exist.
            where: a condition on attributes, as in `filters`.
            exclude: for each query the ids of items to leave out; unknown ones are ignored.

        Raises:
            QueryError: a query of another width or not finite, a k below 1, a wrong condition.

        """
        ...

    def add(self, ids: Any, vectors: NDArray[Any], attributes: pl.DataFrame | None = None) -> None:
        """Add items; an existing id gets the new vector and attributes."""
        ...

    def remove(self, ids: Any) -> None:
        """Take items out."""
        ...

    def save(self, folder: str | Path) -> None:
        """Write the index to a folder, which appears only when it is complete."""
        ...


def nearest_by_id(
    index: ItemIndex,
    items: Catalogue,
    x: Floats,
    k: int,
    *,
    where: str | None,
    excluded: Indices,
) -> tuple[Indices, Floats]:
    """Search an index of any engine among the items that a catalogue still has.

    The engine evaluates the condition, and gets the ids of removed items to leave out.

    Args:
        index: to search.
        items: its items in any order, without those that were removed since it was built.
        x: one query `[1, D]`.
        k: at least 1.
        where: a condition on the attributes.
        excluded: places to leave out.

    Returns:
        Places `[1, k]` in `items` and inner products, -1 and -inf if there are fewer items.

    Raises:
        QueryError: the condition is wrong, or the engine cannot evaluate it.

    """
    out = np.union1d(excluded, np.flatnonzero(~items.active_mask))
    hits = index.search(x, k, where=where, exclude=[items.ids.gather(out)])
    places = hits.places_in(items)
    return places, np.where(places < 0, -np.inf, hits.scores).astype(np.float32)


def check_queries(queries: NDArray[Any], k: int, *, width: int) -> Floats:
    """Return queries as float32 `[Q, D]`.

    Raises:
        QueryError: another width, a number that is not finite, or a k below 1.

    """
    x = np.require(queries, np.float32, ["C", "W"])  # a column of a frame is read-only
    if x.ndim != 2 or x.shape[1] != width:
        raise QueryError(
            f"queries: expected [queries, {width}], got shape {list(x.shape)}; the index was built"
            " from vectors of that width, use the model that built it"
        )
    if not np.isfinite(x).all():
        raise QueryError("queries: a number is not finite")
    count_of("k", k, error=QueryError)
    return x


def excluded_pairs(
    catalogue: Catalogue, exclude: Sequence[Any] | None, queries: int
) -> tuple[Indices, Indices]:
    """Return (query, place) of everything to leave out.

    Raises:
        QueryError: there are lists for more or fewer queries.

    """
    if exclude is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if len(exclude) != queries:
        raise QueryError(f"exclude: {len(exclude):,} lists for {queries:,} queries; give one each")
    query = np.repeat(np.arange(queries), [len(e) for e in exclude])
    places = np.concatenate([catalogue.places_of(e) for e in exclude if len(e)] or [query])
    return query[places >= 0], places[places >= 0]
