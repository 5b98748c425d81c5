"""Shared parts of the adapters of external engines: checked items, and hits by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import QueryError
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.index import Hits
from crosstower.retrieval.index.vectors import Floats
from crosstower.values.ids import id_of


def checked_items(
    ids: Any, vectors: NDArray[Any], attributes: pl.DataFrame | None
) -> tuple[Catalogue, Floats]:
    """Return items and their vectors `[N, D]`.

    Raises:
        QueryError: ids, vectors and attributes do not fit together, there is no item, or a number
            is not finite.

    """
    catalogue, x = Catalogue(ids, attributes), np.asarray(vectors, dtype=np.float32)
    if x.ndim != 2 or len(x) != len(catalogue.ids) or not len(x):
        raise QueryError(
            f"item vectors: expected [{len(catalogue.ids)}, width] and at least one item, got"
            f" shape {list(x.shape)}"
        )
    if not np.isfinite(x).all():
        raise QueryError("item vectors: a number is not finite")
    return catalogue, x


def engine_ids(ids: Any, *, text: bool) -> list[Any]:
    """Return canonical ids in the type of an engine, without those that it cannot hold.

    >>> engine_ids(["7", "a", None], text=True), engine_ids(["7", "a", None], text=False)
    (['7', 'a'], [7])

    Args:
        ids: in any spelling.
        text: whether the engine holds text; else it holds integers.

    """
    found = (id_of(value) for value in ids)
    if text:
        return [str(value) for value in found if value is not None]
    return [value for value in found if isinstance(value, int)]


def hits_of(lists: Sequence[Sequence[tuple[Any, float]]], k: int) -> Hits:
    """Return (id, inner product) of each query, best first, as hits.

    >>> hits_of([[("a", 2.0)], []], k=1).frame().rows()
    [(0, 1, 'a', 2.0)]

    Args:
        lists: of each query, at most k.
        k: number of places per query.

    """
    catalogue = Catalogue(list({item for hits in lists for item, _ in hits}))
    places = np.full((len(lists), k), -1, dtype=np.int64)
    scores = np.full((len(lists), k), -np.inf, dtype=np.float32)
    for row, hits in enumerate(lists):
        places[row, : len(hits)] = catalogue.places_of([item for item, _ in hits])
        scores[row, : len(hits)] = [score for _, score in hits]
    return Hits(catalogue, places, scores)
