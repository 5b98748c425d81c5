"""Items similar to an item, by the cosine of their vectors."""

from __future__ import annotations

import numpy as np
import polars as pl

from crosstower.errors import QueryError, did_you_mean
from crosstower.recipe.arguments import count_of
from crosstower.retrieval.index.vectors import Floats
from crosstower.retrieval.inference import ItemEncoder
from crosstower.retrieval.online_items import OnlineItems
from crosstower.values.arrays import Indices


def similar_items(
    items: OnlineItems,
    encoder: ItemEncoder,
    item: str | int,
    *,
    k: int,
    where: str | None = None,
    known: pl.Series | None = None,
) -> tuple[Indices, Floats]:
    """Return the places of the items most similar to an item, without itself, and the cosines.

    Args:
        items: to search.
        encoder: of the items.
        item: an id.
        k: number of items; fewer only if fewer exist.
        where: a condition on attributes.
        known: ids, one of which a misspelt one may mean; read only for the error.

    Raises:
        QueryError: there is no such item, the model knows nothing of it, k is below 1, or the
            condition is wrong.

    """
    count_of("k", k, error=QueryError)
    place = int(items.places_of([item])[0])
    if place < 0:
        near = ""
        if known is not None and known.dtype == pl.String:
            near = did_you_mean(str(item), known.to_list())
        raise QueryError(f"no item {item!r} among {len(items):,}{near}")
    if _has_no_vector(items, encoder, place):
        raise QueryError(
            f"item {item!r}: has no vector, as the item tower learned none of its values (a value"
            " needs min_count training rows); retrain with more rows of it, or upload a vector"
        )
    return items.similar(place, k, where=where)


def _has_no_vector(items: OnlineItems, encoder: ItemEncoder, place: int) -> bool:
    """Return whether an item has the vector of all unseen items, and no vector was uploaded."""
    if not encoder.may_be_unseen:
        return False
    places = np.array([place])
    row = items.rows(places)
    if not encoder.unseen(row, "the item").all():
        return False
    if place < items.first_newer:
        return True
    return np.allclose(items.vectors(places), encoder.vectors(row, "the item"), atol=1e-6)
