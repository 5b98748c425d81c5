"""The spectrum of training pairs: what their strongest singular vectors say of the items."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds


def scaled_pairs(pairs: Any) -> Any:
    """Return R̃ = D_U^-½ R D^-½, sparse `[U, N]`, of the 0/1 matrix of pairs.

    D_U and D are the numbers of items per user and of users per item (Shen et al. 2021, section 4).

    >>> scaled_pairs(sparse.csr_array([[1.0, 1.0], [1.0, 0.0]])).toarray().round(3)
    array([[0.5  , 0.707],
           [0.707, 0.   ]])

    Args:
        pairs: R, sparse `[U, N]`.

    """
    users, items = (inverse_roots(pairs.sum(axis=axis)) for axis in (1, 0))
    scaled = sparse.diags_array(users) @ pairs.astype(np.float64)
    return sparse.csr_array(scaled @ sparse.diags_array(items))


def inverse_roots(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return n^-½ of each number, and 0 of 0."""
    roots = np.sqrt(np.asarray(counts, dtype=np.float64))
    return np.divide(1.0, roots, out=np.zeros_like(roots), where=roots > 0)


def right_vectors(matrix: Any, count: int) -> NDArray[np.float64]:
    """Return the right singular vectors `[count, N]` of the largest singular values, ascending.

    Args:
        matrix: sparse `[U, N]`.
        count: less than U and N.

    """
    if count == 0:
        return np.empty((0, matrix.shape[1]))
    start = np.ones(min(matrix.shape))  # a fixed start, so that equal data have equal vectors
    return np.asarray(svds(matrix, k=count, v0=start)[2])
