"""Item-kNN: items similar to those of the history, by cosine. Shapes: U users, N items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines.baseline import (
    Histories,
    Scores,
    strongest,
    users_of_items,
)

_USER_BLOCK = 1_024


@dataclass(frozen=True)
class ItemKnn:
    """Item-kNN: the sum of an item's similarities to those of the history (Sarwar et al. 2001).

    >>> import numpy as np
    >>> from crosstower.retrieval import histories_of, recommend
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
        counts = users_of_items(histories).astype(np.float32)
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
