"""What a retrieval model has to beat: popularity, item-kNN and EASE^R. NumPy and SciPy only.

Histories are a sparse 0/1 matrix `[U, N]`: which of N items each of U users has had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from crosstower.errors import DataError
from crosstower.retrieve.catalogue import Places

Histories = Any  # scipy.sparse.csr_array, which has no type of its own to say so
Scores = NDArray[np.float32]
_USER_BLOCK = 1_024
EASE_LIMIT = 20_000


class Baseline(Protocol):
    """Scores every item for users by their histories."""

    def scores(self, histories: Histories) -> Scores:
        """Return `[Q, N]` for histories `[Q, N]`."""
        ...


def histories_of(users: Places, items: Places, *, shape: tuple[int, int]) -> Histories:
    """Return the 0/1 matrix `[U, N]` of (user, item) pairs; repeated pairs count once."""
    ones = np.ones(len(users), dtype=np.float32)
    matrix = sparse.csr_array((ones, (users, items)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


@dataclass(frozen=True)
class Popularity:
    """The same list for everybody: items by their number of users."""

    counts: NDArray[np.float32]

    @staticmethod
    def fit(histories: Histories) -> Popularity:
        """Count the users of each item."""
        return Popularity(np.asarray(histories.sum(axis=0), dtype=np.float32).ravel())

    def scores(self, histories: Histories) -> Scores:
        """Return the counts for every user."""
        return np.broadcast_to(self.counts, histories.shape).copy()


@dataclass(frozen=True)
class ItemKnn:
    """Σ over the items of the history of their similarity to an item (Sarwar et al. 2001)."""

    similarity: Any

    @staticmethod
    def fit(histories: Histories, *, neighbours: int = 100, shrink: float = 10.0) -> ItemKnn:
        """Keep for each item its most similar ones.

        The similarity is the cosine of two items' columns, shrunk: c_ij / (√(c_i·c_j) + shrink)
        with c_ij the number of users that had both.
        """
        counts = np.asarray(histories.sum(axis=0), dtype=np.float32).ravel()
        transposed = histories.T.tocsr()
        blocks: list[Any] = []
        for start in range(0, histories.shape[1], _USER_BLOCK):
            both = (transposed[start : start + _USER_BLOCK] @ histories).toarray()
            rows = np.arange(start, start + len(both))
            both[np.arange(len(both)), rows] = 0.0
            both /= np.sqrt(counts[rows, None] * counts) + shrink
            blocks.append(sparse.csr_array(_largest(both, neighbours)))
        return ItemKnn(sparse.vstack(blocks).tocsr())

    def scores(self, histories: Histories) -> Scores:
        """Return the summed similarities."""
        return (histories @ self.similarity).toarray()


@dataclass(frozen=True)
class Ease:
    """EASE^R, the best linear item-to-item model with a zero diagonal (Steck 2019)."""

    weights: Scores

    @staticmethod
    def fit(histories: Histories, *, l2: float = 500.0) -> Ease:
        """Solve in closed form: P = (XᵀX + λI)⁻¹, B_ij = −P_ij / P_jj, B_jj = 0 (equation 8).

        Raises:
            DataError: the catalogue is too large for the N x N matrix.

        """
        items = histories.shape[1]
        if items > EASE_LIMIT:
            raise DataError(
                f"EASE^R: {items:,} items would need a dense matrix of"
                f" {items * items * 8 / 1e9:.0f} GB; it is meant for up to {EASE_LIMIT:,}"
            )
        gram = (histories.T @ histories).toarray().astype(np.float64)
        gram[np.diag_indices(items)] += l2
        inverse = np.linalg.inv(gram)
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        return Ease(weights.astype(np.float32))

    def scores(self, histories: Histories) -> Scores:
        """Return X B."""
        return histories @ self.weights


def recommend(baseline: Baseline, histories: Histories, k: int) -> Places:
    """Return the k best items `[Q, k]` that each user has not had; -1 where fewer are left.

    Items of equal score come in the order of the catalogue.
    """
    users, items = histories.shape
    k_found = min(k, items)
    shown = np.full((users, k), -1, dtype=np.int64)
    for start in range(0, users, _USER_BLOCK):
        part = histories[start : start + _USER_BLOCK]
        scores = baseline.scores(part)
        scores[part.nonzero()] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k_found]
        left = np.isfinite(np.take_along_axis(scores, order, 1))
        shown[start : start + len(order), :k_found] = np.where(left, order, -1)
    return shown


def _largest(matrix: Scores, count: int) -> Scores:
    """Return the matrix with all but the largest `count` entries of each row set to 0."""
    if count < matrix.shape[1]:
        small = np.argpartition(-matrix, count, axis=1)[:, count:]
        np.put_along_axis(matrix, small, 0.0, 1)
    return matrix
