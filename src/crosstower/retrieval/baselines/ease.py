"""EASE^R: a closed-form linear model of items by items. Shapes: U users, N items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri  # pyright: ignore

from crosstower.errors import DataError
from crosstower.retrieval.baselines.baseline import Histories, Scores

EASE_LIMIT = 20_000


@dataclass(frozen=True)
class Ease:
    """EASE^R: the linear item-to-item model with a zero diagonal (Steck 2019).

    >>> import numpy as np
    >>> from crosstower.retrieval import histories_of, recommend
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
