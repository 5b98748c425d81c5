"""Retrieval baselines: popularity, item-kNN, EASE^R and implicit ALS.

Histories are a sparse 0/1 matrix `[U, N]` of U users and N items.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg.lapack import dpotrf, dpotri  # pyright: ignore
from threadpoolctl import threadpool_limits

from crosstower.errors import DataError, RecipeError
from crosstower.values.arrays import Indices

Histories = Any  # scipy.sparse.csr_array, which has no type of its own to say so
Scores = NDArray[np.float32]
_USER_BLOCK = 1_024
_DENSE = 0.1  # share of entries from which a dense matrix is faster
EASE_LIMIT = 20_000


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


def _users_of(histories: Histories) -> NDArray[np.int64]:
    """Return the number of users of each item `[N]`, counted as integers."""
    return np.bincount(histories.indices, minlength=histories.shape[1])


@dataclass(frozen=True)
class Popularity:
    """Popularity: items by their number of users, the same list for everyone.

    >>> import numpy as np
    >>> from crosstower.retrieval import recommend
    >>> histories = histories_of(np.array([0, 1, 2]), np.array([0, 0, 1]), shape=(3, 3))
    >>> recommend(Popularity.fit(histories), histories, k=1).tolist()
    [[1], [1], [0]]

    Args:
        counts: `[N]`, users of each item.

    """

    counts: NDArray[np.float32]

    @staticmethod
    def fit(histories: Histories) -> Popularity:
        """Return the popularity of each item in histories `[U, N]`."""
        return Popularity(_users_of(histories).astype(np.float32))

    def scores(self, histories: Histories) -> Scores:
        """Return the same scores `[Q, N]` for every user."""
        return np.broadcast_to(self.counts, histories.shape).copy()


@dataclass(frozen=True)
class ItemKnn:
    """Item-kNN: the sum of an item's similarities to those of the history (Sarwar et al. 2001).

    >>> import numpy as np
    >>> from crosstower.retrieval import recommend
    >>> users, items = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0])
    >>> histories = histories_of(users, items, shape=(3, 3))
    >>> recommend(ItemKnn.fit(histories), histories[[2]], k=1).tolist()
    [[1]]

    Args:
        similarity: sparse matrix `[N, N]`.

    """

    similarity: Any

    @staticmethod
    def fit(histories: Histories, *, neighbours: int = 100, shrink: float = 10.0) -> ItemKnn:
        """Return the most similar items of each item.

        The similarity is the shrunk cosine of two items' columns, c_ij / (√(c_i·c_j) + shrink),
        with c_ij the number of users of both.

        Args:
            histories: `[U, N]`.
            neighbours: number of similar items kept per item.
            shrink: 0 or more; a larger value favours pairs with many users.

        Raises:
            RecipeError: `shrink` is negative.

        """
        if shrink < 0:
            raise RecipeError(f"item_knn: expected shrink of at least 0, got {shrink:g}")
        counts = _users_of(histories).astype(np.float32)
        transposed = histories.T.tocsr()
        blocks: list[Any] = []
        for start in range(0, histories.shape[1], _USER_BLOCK):
            both = (transposed[start : start + _USER_BLOCK] @ histories).tocoo()
            scale = np.sqrt(counts[start + both.row] * counts[both.col]) + shrink
            similarity = np.where(both.col == start + both.row, 0.0, both.data / scale)
            places = both.row, both.col
            block = sparse.csr_array((similarity.astype(np.float32), places), shape=both.shape)
            blocks.append(strongest(block, neighbours))
        return ItemKnn(sparse.vstack(blocks).tocsr())

    def scores(self, histories: Histories) -> Scores:
        """Return the summed similarities `[Q, N]`."""
        return (histories @ self.similarity).toarray()


@dataclass(frozen=True)
class Ease:
    """EASE^R: the linear item-to-item model with a zero diagonal (Steck 2019).

    >>> import numpy as np
    >>> from crosstower.retrieval import recommend
    >>> users, items = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0])
    >>> histories = histories_of(users, items, shape=(3, 3))
    >>> recommend(Ease.fit(histories, l2=1.0), histories[[2]], k=1).tolist()
    [[1]]

    Args:
        weights: B, `[N, N]`.

    """

    weights: Scores

    @staticmethod
    def fit(histories: Histories, *, l2: float = 500.0) -> Ease:
        """Return the closed-form solution: P = (XᵀX + λI)⁻¹, B_ij = −P_ij / P_jj, B_jj = 0 (eq. 8).

        Args:
            histories: `[U, N]`.
            l2: λ, above 0.

        Raises:
            DataError: the catalogue is too large for the N x N matrix, or the matrix cannot be
                inverted.

        """
        items = histories.shape[1]
        if items > EASE_LIMIT:
            raise DataError(
                f"EASE^R: {items:,} items would need a dense matrix of"
                f" {items * items * 8 / 1e9:.0f} GB; it is meant for up to {EASE_LIMIT:,}"
            )
        both = histories.astype(np.int32)  # exact beyond 2^24 users
        gram = np.asfortranarray((both.T @ both).astype(np.float64).toarray())
        gram[np.diag_indices(items)] += l2
        inverse = _inverse_half(gram, l2)
        scale = -1.0 / np.diag(inverse)
        weights = np.tril(inverse, -1).astype(np.float32)
        weights += weights.T
        weights *= scale.astype(np.float32)
        return Ease(weights)

    def scores(self, histories: Histories) -> Scores:
        """Return X B `[Q, N]`."""
        return histories @ self.weights


def _inverse_half(gram: NDArray[np.float64], l2: float) -> NDArray[np.float64]:
    """Return the lower half of the inverse, in place, to avoid a second N x N matrix."""
    factor, failed = dpotrf(gram, lower=True, overwrite_a=True)
    inverse, singular = (factor, 1) if failed else dpotri(factor, lower=True, overwrite_c=True)
    if failed or singular or not np.isfinite(np.diag(inverse)).all():
        raise DataError(
            f"EASE^R: XᵀX + λI has no inverse with λ = {l2:g}: items have the same users, or a"
            " value is not finite; take a larger l2, such as 500"
        )
    return inverse


@dataclass(frozen=True)
class ImplicitAls:
    """Matrix factorisation by alternating least squares (Hu et al. 2008), by package implicit.

    `ImplicitAls.fit(histories, ...)` needs the package; `recommend` then takes it like any other
    baseline.

    Args:
        model: a fitted model of implicit.

    """

    model: Any

    @staticmethod
    def fit(
        histories: Histories, *, factors: int = 64, regularization: float = 0.05
    ) -> ImplicitAls:
        """Return a factorisation of histories `[U, N]`.

        Raises:
            RecipeError: the package is not installed.

        """
        try:
            als = importlib.import_module("implicit.als")
        except ImportError as error:
            raise RecipeError(
                "retrieval.baselines: implicit_als needs the package implicit; install it with:"
                " pip install implicit"
            ) from error
        with threadpool_limits(1, "blas"):  # it has threads of its own, and warns of others
            model = als.AlternatingLeastSquares(
                factors=factors, regularization=regularization, random_state=0
            )
            model.fit(sparse.csr_matrix(histories), show_progress=False)
        return ImplicitAls(model)

    def scores(self, histories: Histories) -> Scores:
        """Return item factors times user factors, solved for the histories `[Q, N]`."""
        rows = np.arange(histories.shape[0])
        users = self.model.recalculate_user(rows, sparse.csr_matrix(histories))
        return np.asarray(users @ self.model.item_factors.T, dtype=np.float32)


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
