"""Popularity: items ranked by their number of pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crosstower.retrieval.baselines.baseline import Histories, Scores, users_of_items


@dataclass(frozen=True)
class Popularity:
    """Popularity: items by their number of users, the same list for everyone.

    >>> import numpy as np
    >>> from crosstower.retrieval import histories_of, recommend
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
        return Popularity(users_of_items(histories).astype(np.float32))

    def scores(self, histories: Histories) -> Scores:
        """Return the same scores `[Q, N]` for every user."""
        return np.broadcast_to(self.counts, histories.shape).copy()
