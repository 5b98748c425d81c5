"""The transition graph: next items of the newest items of a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines.baseline import Scores
from crosstower.retrieval.data.histories import Histories
from crosstower.values.arrays import Indices


@dataclass(frozen=True)
class TransitionGraph:
    """Transition graph: items that followed the newest items of a history (Han et al. 2026).

    W_ij is the sum of decay^(s - 1) over all training histories in which j comes s places after i,
    1 ≤ s ≤ window, divided by the sum of row i. The score of item j is Σ_m recency^m · W_(h_m, j),
    with h_0 the newest item of the history, h_1 the one before it, and so on. Han et al.
    (arXiv:2605.07125) show how strong the graph around the last item is; their ranking by text
    embeddings is left out.

    >>> import numpy as np
    >>> from crosstower.retrieval import recommend
    >>> graph = TransitionGraph.of(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2]), shape=(2, 3))
    >>> newest = graph.histories_of(np.array([0, 0]), np.array([2, 0]), shape=(1, 3))
    >>> graph.scores(newest)
    array([[0. , 0.5, 0.5]], dtype=float32)
    >>> recommend(graph, newest, k=1).tolist()
    [[1]]

    Args:
        weights: W, a sparse matrix `[N, N]`.
        recency: weight of a history's item relative to the next newer one, above 0, at most 1.

    """

    weights: Any
    recency: float = 0.5

    @staticmethod
    def fit(
        histories: Histories,
        *,
        items: int,
        window: int = 3,
        decay: float = 0.7,
        recency: float = 0.5,
    ) -> TransitionGraph:
        """Return the graph of training histories.

        Args:
            histories: of U users, oldest item first.
            items: N.
            window: longest step from an item to a later one, at least 1.
            decay: weight of a step relative to one that is shorter by one, above 0, at most 1.
            recency: as for the class.

        Raises:
            RecipeError: an option is out of its range.

        """
        users = np.repeat(np.arange(len(histories.starts) - 1), histories.lengths())
        shape = len(histories.starts) - 1, items
        return TransitionGraph.of(
            users, histories.items, shape=shape, window=window, decay=decay, recency=recency
        )

    @staticmethod
    def of(
        users: Indices,
        items: Indices,
        *,
        shape: tuple[int, int],
        window: int = 3,
        decay: float = 0.7,
        recency: float = 0.5,
    ) -> TransitionGraph:
        """Return the graph of (user, item) pairs.

        Args:
            users: `[P]`, user of each pair, ascending.
            items: `[P]`, item of each pair, oldest first per user.
            shape: (U, N).
            window: as for `fit`.
            decay: as for `fit`.
            recency: as for the class.

        Raises:
            RecipeError: an option is out of its range.

        """
        _check(window, decay=decay, recency=recency)
        total: Any = sparse.csr_array((shape[1], shape[1]), dtype=np.float64)
        for step in range(1, min(window, max(len(users) - 1, 0)) + 1):
            same = users[step:] == users[:-step]
            places = items[:-step][same], items[step:][same]
            weights = np.full(len(places[0]), decay ** (step - 1))
            total = total + sparse.csr_array((weights, places), shape=total.shape)
        rows = np.asarray(total.sum(axis=1)).ravel()
        scale = np.divide(1.0, rows, out=np.zeros_like(rows), where=rows > 0)
        return TransitionGraph((sparse.diags_array(scale) @ total).tocsr(), recency)

    def histories_of(self, rows: Indices, items: Indices, *, shape: tuple[int, int]) -> Any:
        """Return histories as a sparse matrix `[Q, N]` of the weights recency^m.

        Args:
            rows: `[P]`, row of each pair, ascending.
            items: `[P]`, item of each pair, oldest first per row.
            shape: (Q, N).

        """
        age = np.searchsorted(rows, rows, side="right") - 1 - np.arange(len(rows))
        return sparse.csr_array((recency_weights(age, self.recency), (rows, items)), shape=shape)

    def scores(self, histories: Any) -> Scores:
        """Return the scores `[Q, N]` for histories of `histories_of` `[Q, N]`."""
        return (histories @ self.weights).toarray().astype(np.float32)


def recency_weights(age: Indices, recency: float) -> NDArray[np.float64]:
    """Return recency^age `[P]`, 0 where that is too small to matter.

    >>> recency_weights(np.array([2, 1, 0]), 0.5).tolist()
    [0.25, 0.5, 1.0]
    """
    weights = np.power(recency, age.astype(np.float64))
    return np.where(weights < 1e-6, 0.0, weights)


def _check(window: int, **shares: float) -> None:
    if window < 1:
        raise RecipeError(f"transition_graph: expected window of at least 1, got {window}")
    for name, value in shares.items():
        if not 0 < value <= 1:
            raise RecipeError(
                f"transition_graph: expected {name} above 0 and at most 1, got {value:g}"
            )
