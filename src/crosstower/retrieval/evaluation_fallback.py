"""Queries about which the model knows nothing: evaluations show them popular items, as servers do.

Shapes: Q queries, N items, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.recipe.own_columns import raw_name
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.evaluation_queries import EvaluationQueries
from crosstower.retrieval.data.tower_columns import (
    reads_users_only,
    retrieval_section_of,
    tower_columns_of,
)
from crosstower.retrieval.popular_items import PopularOrder
from crosstower.values.arrays import Indices
from crosstower.values.columns import to_ids
from crosstower.values.ids import Id


def informed_queries(
    recipe: Recipe, queries: EvaluationQueries, vectors: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return whether the query tower knows anything about each query `[Q]`, as a server decides it.

    The row of a query gives its columns. A user without an earlier row is unknown.

    Args:
        recipe: of the retriever.
        queries: Q of them.
        vectors: `[Q, D]` of the queries; zeros of a history whose items are all new.

    """
    new = queries.cold()
    known = np.asarray(vectors.any(axis=1), dtype=np.bool_)
    if not reads_users_only(recipe):
        return known
    sides = tower_columns_of(recipe)
    return ~new & known & (sides.history is not None or bool(sides.query))


def with_popular(
    shown: Indices,
    chosen: NDArray[np.bool_],
    queries: EvaluationQueries,
    popular: PopularOrder,
    segments: Sequence[Id | None] | None = None,
) -> Indices:
    """Return lists `[Q, k]` with popular items, without the seen ones, for the chosen queries.

    Args:
        shown: lists of the model, -1 where fewer items remain.
        chosen: `[Q]`.
        queries: of the lists.
        popular: the items by their training rows.
        segments: `[Q]`, of the queries; None without segments.

    """
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return shown
    shown, (query, item) = shown.copy(), queries.seen
    first, last = np.searchsorted(query, rows), np.searchsorted(query, rows, side="right")
    for row, seen in zip(rows.tolist(), map(slice, first, last), strict=True):
        segment = None if segments is None else segments[row]
        found = _first(popular, segment, item[seen], shown.shape[1])
        shown[row, : len(found)], shown[row, len(found) :] = found, -1
    return shown


def query_segments(recipe: Recipe, frame: pl.DataFrame) -> tuple[Id | None, ...] | None:
    """Return the segments `[Q]` of the rows of queries; None if the recipe has none."""
    name = retrieval_section_of(recipe).segment
    return None if name is None else tuple(to_ids(name, frame[raw_name(name)]).to_list())


def _first(popular: PopularOrder, segment: Id | None, seen: Indices, count: int) -> Indices:
    """Return the first `count` items that are not seen."""
    found = list[Indices]()
    for items, _ in popular.parts(segment):
        found.append(items[~np.isin(items, seen)] if len(seen) else items)
        if sum(map(len, found)) >= count:
            break
    return np.concatenate(found)[:count]
