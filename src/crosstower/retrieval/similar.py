"""Items similar to an item, by the cosine of their vectors."""

from __future__ import annotations

import polars as pl

from crosstower.errors import QueryError, did_you_mean
from crosstower.recipe.arguments import count_of
from crosstower.retrieval.index.vectors import Floats
from crosstower.retrieval.online_items import OnlineItems
from crosstower.values.arrays import Indices


def similar_items(
    items: OnlineItems, item: str | int, *, k: int, where: str | None = None
) -> tuple[Indices, Floats]:
    """Return the places of the items most similar to an item, without itself, and the cosines.

    >>> import numpy as np
    >>> from crosstower.retrieval.index.exact import ExactIndex
    >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]], np.float32)
    >>> index = ExactIndex.build(["a", "b", "c"], vectors)
    >>> items = OnlineItems(index.catalogue, index, lambda: vectors)
    >>> items.ids(similar_items(items, "a", k=1)[0])
    ['c']

    Args:
        items: to search.
        item: an id.
        k: number of items; fewer only if fewer exist.
        where: a condition on attributes.

    Raises:
        QueryError: there is no such item, k is below 1, or the condition is wrong.

    """
    count_of("k", k, error=QueryError)
    place = int(items.places_of([item])[0])
    if place < 0:
        near, ids = "", items.catalogue.ids
        if ids.dtype == pl.String:
            near = did_you_mean(str(item), ids.head(10_000).to_list())
        raise QueryError(f"no item {item!r} among {len(items):,}{near}")
    return items.similar(place, k, where=where)
