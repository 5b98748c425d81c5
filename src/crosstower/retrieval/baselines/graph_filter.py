"""GF-CF: a low-pass filter on the graph of users and items, without training (Shen et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines.baseline import Histories, Scores, users_of_items
from crosstower.retrieval.data.spectrum import inverse_roots, right_vectors, scaled_pairs


@dataclass(frozen=True)
class GraphFilter:
    """GF-CF: the sum of a linear and an ideal low-pass filter of a user's history.

    scores = x R̃ᵀR̃ + alpha·x D^-½ V Vᵀ D^½, with x the 0/1 history, R̃ = D_U^-½ R D^-½ the training
    pairs divided by the roots of the numbers of items per user and of users per item, and V the K
    right singular vectors of R̃ with the largest singular values (Shen et al. 2021, section 4).

    >>> import numpy as np
    >>> from crosstower.retrieval import histories_of, recommend
    >>> users, items = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0])
    >>> histories = histories_of(users, items, shape=(3, 3))
    >>> recommend(GraphFilter.fit(histories), histories[[2]], k=1).tolist()
    [[1]]

    Args:
        pairs: R̃, sparse matrix `[U, N]`.
        low: VᵀD^-½, `[K, N]`.
        high: alpha·VᵀD^½, `[K, N]`.

    """

    pairs: Any
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @staticmethod
    def fit(histories: Histories, *, alpha: float = 0.3, width: int = 256) -> GraphFilter:
        """Return the filters of the graph of histories.

        Args:
            histories: `[U, N]`.
            alpha: weight of the ideal low-pass filter, 0 or more.
            width: K; at most one less than the smaller of U and N.

        Raises:
            RecipeError: `alpha` is negative, or `width` below 1.

        """
        if alpha < 0 or width < 1:
            raise RecipeError(
                "graph_filter: expected alpha of at least 0 and width of at least 1, got"
                f" {alpha:g} and {width}"
            )
        pairs: Any = scaled_pairs(histories)
        of_item = users_of_items(histories)
        vectors = right_vectors(pairs, min(width, min(pairs.shape) - 1))
        return GraphFilter(
            pairs.astype(np.float32),
            (vectors * inverse_roots(of_item)).astype(np.float32),
            (alpha * vectors * np.sqrt(of_item)).astype(np.float32),
        )

    def scores(self, histories: Histories) -> Scores:
        """Return the filtered histories `[Q, N]`."""
        near = (histories @ self.pairs.T) @ self.pairs
        return near.toarray() + (histories @ self.low.T) @ self.high
