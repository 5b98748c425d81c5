"""The best items of queries in an order that does not depend on the batch.

A matrix product rounds differently for each shape, so its order of nearly equal items depends on
the number of queries. It therefore only selects candidates, with a margin for rounding. Their
products are computed again one by one, and equal ones are ordered by place.

Shapes: Q queries, C candidates, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from crosstower.values.arrays import Indices

Floats = NDArray[np.float32]
Rows = Callable[[Indices], Floats]
"""Returns the vectors `[n, D]` of items by place."""

SPARE = 16
"""Candidates to select beyond the length of a list."""

_UNIT = 2.0**-24  # largest relative rounding error of float32
_AT_ONCE = 2**22  # numbers of gathered vectors


def products(rows: Floats, queries: Floats) -> Floats:
    """Return the inner products `[Q, C]` of vectors `[Q, C, D]` with queries `[Q, D]`.

    Each is rounded in the same way, for any Q and C.

    >>> products(np.ones((1, 2, 3), np.float32), np.ones((1, 3), np.float32))
    array([[3., 3.]], dtype=float32)
    """
    return (rows * queries[:, None]).sum(-1, dtype=np.float32)


def tolerance(queries: Floats, largest_norm: float) -> Floats:
    """Return by how much the products of two computations can differ `[Q]`.

    Twice the bound of Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.1:
    an inner product of width D is off by at most D u ‖q‖ ‖v‖ / (1 − D u).

    Args:
        queries: `[Q, D]`.
        largest_norm: of the items.

    """
    error = (queries.shape[1] + 2) * _UNIT
    norms = np.linalg.norm(queries.astype(np.float64), axis=1)
    return (2 * error / (1 - error) * norms * largest_norm).astype(np.float32)


def rescored(
    queries: Floats,
    rows: Rows,
    k: int,
    *,
    places: Indices,
    scores: Floats,
    largest_norm: float,
    above: Callable[[int, float], Indices],
) -> tuple[Indices, Floats]:
    """Return the places `[Q, k]` of the best items and their products; -1, -inf where none is.

    Args:
        queries: `[Q, D]`.
        rows: of all items.
        k: at least 1.
        places: `[Q, C]` candidates, those with the largest products, best first.
        scores: `[Q, C]` their products by a matrix product, -inf where there is none.
        largest_norm: of all items.
        above: returns the places of all items whose matrix product with a query is at least a
            number; called where the candidates may not be all that matter.

    """
    found = np.full((len(queries), k), -1), np.full((len(queries), k), -np.inf, np.float32)
    if not scores.shape[1]:
        return found
    margin = 2 * tolerance(queries, largest_norm)
    step = max(1, _AT_ONCE // (scores.shape[1] * queries.shape[1]))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        _rescore(queries[part], rows, places[part], scores[part], (found[0][part], found[1][part]))
    last = scores[:, -1]
    least = scores[:, min(k, scores.shape[1]) - 1] - margin
    for query in np.flatnonzero((last >= least) & np.isfinite(last)):
        some = above(int(query), float(least[query]))[None]
        own = slice(query, query + 1)
        known = np.zeros(some.shape, np.float32)
        _rescore(queries[own], rows, some, known, (found[0][own], found[1][own]))
    return found


def _rescore(
    queries: Floats, rows: Rows, places: Indices, scores: Floats, into: tuple[Indices, Floats]
) -> None:
    """Write the best existing candidates `[Q, C]` (not -inf) into `[Q, k]`."""
    gathered = rows(np.maximum(places, 0).ravel()).reshape(*places.shape, -1)
    exact = np.where(np.isneginf(scores), -np.inf, products(gathered, queries))
    order = np.lexsort((places, -exact))[:, : into[0].shape[1]]
    best, k = np.take_along_axis(exact, order, 1), order.shape[1]
    into[1][:, :k] = best
    into[0][:, :k] = np.where(np.isneginf(best), -1, np.take_along_axis(places, order, 1))
