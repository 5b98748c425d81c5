"""Shared parts of baselines: sparse matrix of histories, and the strongest entries of a row."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from crosstower.values.arrays import Indices

Histories = Any  # scipy.sparse.csr_array, which has no type of its own to say so
Scores = NDArray[np.float32]
_DENSE = 0.1  # share of entries from which a dense matrix is faster


class Baseline(Protocol):
    """Interface of a baseline: scores every item for users by their histories."""

    def scores(self, histories: Histories) -> Scores:
        """Return the scores `[Q, N]` for histories `[Q, N]`."""
        ...


def histories_of(users: Indices, items: Indices, *, shape: tuple[int, int]) -> Histories:
    """Return the 0/1 matrix of (user, item) pairs; repeated pairs count once.

    >>> import numpy as np
    >>> users, items = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    >>> histories_of(users, items, shape=(2, 3)).toarray()
    array([[1., 1., 0.],
           [0., 1., 0.]], dtype=float32)

    Args:
        users: `[P]`, user of each pair, from 0.
        items: `[P]`, item of each pair, from 0.
        shape: (U, N).

    Returns:
        A sparse matrix `[U, N]`.

    """
    ones = np.ones(len(users), dtype=np.float32)
    matrix = sparse.csr_array((ones, (users, items)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def users_of_items(histories: Histories) -> NDArray[np.int64]:
    """Return the number of users of each item `[N]`, counted as integers."""
    return np.bincount(histories.indices, minlength=histories.shape[1])


def strongest(block: Any, count: int) -> Any:
    """Return a sparse matrix with the largest `count` entries of each row, by absolute value.

    >>> strongest(sparse.csr_array([[0.2, -0.9, 0.5], [0.0, 0.0, 0.1]]), 2).toarray().tolist()
    [[0.0, -0.9, 0.5], [0.0, 0.0, 0.1]]

    Args:
        block: `[n, N]`.
        count: most entries per row.

    """
    if block.nnz > _DENSE * block.shape[0] * block.shape[1]:
        return sparse.csr_array(_largest(block.toarray(), count))
    block.sum_duplicates()
    block.eliminate_zeros()
    sizes = np.diff(block.indptr)
    row = np.repeat(np.arange(block.shape[0]), sizes)
    order = np.lexsort((-np.abs(block.data), row))
    rank = np.arange(len(order)) - np.repeat(block.indptr[:-1], sizes)
    kept = np.sort(order[rank < count])
    places = row[kept], block.indices[kept]
    return sparse.csr_array((block.data[kept], places), shape=block.shape)


def _largest(matrix: Scores, count: int) -> Scores:
    """Return a dense matrix with all but the largest `count` entries of each row set to 0."""
    if count < matrix.shape[1]:
        small = np.argpartition(-np.abs(matrix), count, axis=1)[:, count:]
        np.put_along_axis(matrix, small, 0.0, 1)
    return matrix
