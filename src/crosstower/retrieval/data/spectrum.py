"""The spectrum of training pairs: item vectors from the strongest singular vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_NOTHING = 1e-6
"""Share of the largest singular value below which one is rounding."""


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
    """Return the right singular vectors `[n, N]` of the largest singular values, ascending.

    Equal matrices have equal vectors. There are fewer than `count` if the rank is lower.

    >>> right_vectors(sparse.csr_array([[3.0, 4.0, 0.0], [3.0, 4.0, 0.0]]), 1).round(3).tolist()
    [[0.6, 0.8, 0.0]]

    Args:
        matrix: sparse `[U, N]`.
        count: less than U and N.

    """
    users, items = matrix.shape
    if count == 0 or matrix.nnz == 0:
        return np.empty((0, items))
    from scipy.sparse.linalg import aslinearoperator, eigsh  # noqa: PLC0415 - slow to import

    one, other = (matrix, matrix.T) if users <= items else (matrix.T, matrix)
    squares: Any = aslinearoperator(one) @ aslinearoperator(other)
    # A fixed start, and a fixed generator for where the spectrum is degenerate.
    squared, vectors = eigsh(squares, k=count, v0=np.ones(one.shape[0]), rng=0)
    kept = squared > _NOTHING**2 * squared.max()
    vectors = vectors[:, kept]
    found = vectors.T if users > items else (other @ vectors / np.sqrt(squared[kept])).T
    return found * np.sign(found[np.arange(len(found)), np.abs(found).argmax(1)])[:, None]
