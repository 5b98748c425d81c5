"""Items similar to an item, by the cosine of their vectors."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from crosstower.errors import QueryError, did_you_mean
from crosstower.recipe.arguments import count_of
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.index import Hits
from crosstower.retrieval.index.vectors import Vectors, top_places
from crosstower.values.ids import given_id


def similar_items(
    catalogue: Catalogue,
    vectors: NDArray[np.float32],
    item: str | int,
    *,
    k: int,
    where: str | None = None,
) -> Hits:
    """Return the items most similar to an item, without itself.

    >>> catalogue = Catalogue(["a", "b", "c"])
    >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]], np.float32)
    >>> similar_items(catalogue, vectors, "a", k=1).frame()["item_id"].to_list()
    ['c']

    Args:
        catalogue: of N items.
        vectors: `[N, D]`, by position.
        item: an id.
        k: number of items.
        where: a condition on attributes.

    Raises:
        QueryError: there is no such item, or k is below 1.

    """
    count_of("k", k, error=QueryError)
    place = int(catalogue.places_of([given_id("item", item)])[0])
    if place < 0:
        near = ""
        if catalogue.ids.dtype == pl.String:
            near = did_you_mean(str(item), catalogue.ids.head(10_000).to_list())
        raise QueryError(f"no item {item!r} among {len(catalogue):,}{near}")
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norm > 0, norm, 1.0)
    places, scores = top_places(
        torch.from_numpy(unit[[place]]),
        Vectors.encode(unit, "float32"),
        k,
        allowed=catalogue.allowed(where),
        excluded=(np.zeros(1, np.int64), np.array([place])),
    )
    return Hits(catalogue, places, scores)
