"""Sources that score the neighbours of a history's items, from a sparse table `[N, N]`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field
from scipy import sparse

from crosstower.errors import DataError
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.baselines.baseline import strongest
from crosstower.retrieval.sources.candidate_source import (
    Arrays,
    CandidateSource,
    Part,
    SourceQuery,
    best_first,
)
from crosstower.values.arrays import Floats, Indices


class Neighbours(FrozenModel):
    """Options of a source of neighbours."""

    neighbours: int = Field(
        default=100, ge=1, le=10_000, description="Neighbours stored per item, the strongest ones."
    )


class NeighbourSource(CandidateSource):
    """Scores item j by Σ_i v_i·W_ij over the items i of the history, with v_i from `weigh`.

    Row i of W has the neighbours of item i. Items with a score above 0 are found.
    """

    Options = Neighbours
    needs_user = True

    def __init__(self, options: Any, arrays: Arrays) -> None:
        super().__init__(options, arrays)
        self._starts, self._items = arrays["starts"], arrays["items"]
        self._weights, self._count = arrays["weights"], len(arrays["starts"]) - 1

    @abstractmethod
    def weigh(self, history: Indices) -> tuple[Indices, Floats]:
        """Return the items of a history, each once, and their weights.

        Args:
            history: places, oldest first, at least one.

        """

    def parts(self, query: SourceQuery) -> Iterator[Part]:
        """Yield the neighbours of the history, which may be empty."""
        known = query.history[query.history < self._count]
        if not len(known):
            return
        items, weights = self.weigh(known)
        starts, ends = self._starts[items], self._starts[items + 1]
        places = np.concatenate([self._items[a:b] for a, b in zip(starts, ends, strict=True)])
        values = np.concatenate([self._weights[a:b] for a, b in zip(starts, ends, strict=True)])
        values = values * np.repeat(weights, ends - starts)
        if len(places) * 16 < self._count:
            found, inverse = np.unique(places, return_inverse=True)
            scores = np.bincount(inverse, values).astype(np.float64)
        else:
            whole = np.bincount(places, values, self._count).astype(np.float64)
            found = np.flatnonzero(whole > 0)
            scores = whole[found]
        good = scores > 0
        yield from best_first(found[good].astype(np.int64), scores[good])


def each_once(history: Indices) -> tuple[Indices, Floats]:
    """Return the items of a history, each once with weight 1.

    >>> each_once(np.array([5, 2, 5]))[0].tolist()
    [2, 5]
    """
    items = np.unique(history)
    return items, np.ones(len(items))


def table_of(matrix: Any, neighbours: int) -> Arrays:
    """Return the strongest entries of each row of a matrix, by absolute value.

    >>> table = table_of(np.array([[0.0, 0.5, -0.9], [0.0, 0.0, 0.0], [0.1, 0.0, 0.0]]), 1)
    >>> table["starts"].tolist(), table["items"].tolist(), table["weights"].tolist()
    ([0, 1, 1, 2], [2, 0], [-0.8999999761581421, 0.10000000149011612])

    Args:
        matrix: sparse or dense, `[N, N]`.
        neighbours: most entries per row.

    Raises:
        DataError: all entries are 0.

    """
    rows = [strongest(block, neighbours) for block in _blocks(matrix)]
    table = sparse.vstack(rows).tocsr()
    if not table.nnz:
        raise DataError(
            "no user has two training rows, so there are no neighbours; remove the source"
        )
    return {
        "starts": table.indptr.astype(np.int64),
        "items": table.indices.astype(np.int32),
        "weights": table.data.astype(np.float32),
    }


def _blocks(matrix: Any, rows: int = 1_024) -> Iterator[Any]:
    for start in range(0, matrix.shape[0], rows):
        block = matrix[start : start + rows]
        yield sparse.csr_array(block)
