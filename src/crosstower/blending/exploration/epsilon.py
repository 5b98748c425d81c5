"""Epsilon-greedy: each place goes to the best candidate left, or with a small chance to any."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from crosstower.blending.exploration.pool import DrawOptions, Pool
from crosstower.values.arrays import Floats, Indices


class Epsilon(DrawOptions):
    """Give each place to the best candidate left, with probability epsilon to any one left.

    With m candidates left, the best one has the conditional probability 1 - ε + ε / m, each other
    one ε / m. The probability of a candidate at rank r follows exactly from the distribution of
    the number of better candidates that are left, which changes place by place.

    >>> pool = Pool(np.array([2.0, 1.0, 0.0]), np.zeros(3, np.int64))
    >>> Epsilon(epsilon=0.3).chances(pool, np.arange(3), 1).round(4).T.tolist()
    [[0.8, 0.1, 0.1]]
    """

    kind: Literal["epsilon"] = "epsilon"
    epsilon: float = Field(
        gt=0, le=1, description="Probability per place of a uniform draw among the candidates left."
    )

    def draw(self, pool: Pool, random: np.random.Generator) -> Indices:
        """Return the candidates `[n]` in a drawn order, by number."""
        count = len(pool)
        coin, share = random.random((2, count))
        chosen = (share * np.arange(count, 0, -1)).astype(np.int64)
        places, left = np.where(coin < self.epsilon, chosen, 0).tolist(), list(range(count))
        return np.array([left.pop(place) for place in places], dtype=np.int64)

    def chances(self, pool: Pool, items: Indices, k: int) -> Floats:
        """Return `[I, k]`, the probability of each of I candidates at ranks 1 to k."""
        better = np.arange(len(pool))  # number of better candidates left
        state = (items[:, None] == better).astype(np.float64)  # [I, n]; candidate i is not placed
        found, epsilon = np.empty((len(items), k)), self.epsilon
        for place in range(k):
            left = len(pool) - place
            found[:, place] = state.sum(axis=1) * epsilon / left + (1.0 - epsilon) * state[:, 0]
            fewer = np.where(better > 0, 1.0 - epsilon, 0.0) + epsilon * better / left
            same = epsilon * np.maximum(left - better - 1, 0) / left
            stays, moves = state * same, state * fewer
            state = stays
            state[:, :-1] += moves[:, 1:]
        return found

    def conditional(self, pool: Pool, order: Indices, k: int) -> Floats:
        """Return `[k]`, the probability of each of the first k given those before it."""
        found, left = np.empty(k), list(range(len(pool)))
        for place, item in enumerate(order[:k].tolist()):
            best = 1.0 - self.epsilon if item == left[0] else 0.0
            found[place] = best + self.epsilon / len(left)
            left.remove(item)
        return found
