"""Plackett-Luce: each place is drawn by a softmax over the candidates that are left."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from crosstower.blending.exploration.pool import DrawOptions, Pool
from crosstower.blending.exploration.races import rank_probabilities, step_of
from crosstower.values.arrays import Floats, Indices

_LOW, _HIGH = -4.0, 45.0  # range of a Gumbel value, from its location
_FAR = 1e3  # candidates this many temperatures apart never swap


class PlackettLuce(DrawOptions):
    """Draw each place by softmax(score / temperature) over the candidates that are left.

    The order is that of score / temperature plus independent Gumbel noise (the Gumbel top-k trick;
    Yellott 1977, Kool et al. 2019). A candidate at rank r has the conditional probability
    exp(s_i / τ) / Σ_{j left} exp(s_j / τ). Its probability at rank r over all draws is an integral
    (see `races`) whose error is below 1e-9.

    >>> pool = Pool(np.array([2.0, 1.0, 0.0]), np.zeros(3, np.int64))
    >>> PlackettLuce(temperature=1).chances(pool, np.arange(3), 1).round(4).T.tolist()
    [[0.6652, 0.2447, 0.09]]
    """

    kind: Literal["plackett_luce"] = "plackett_luce"
    temperature: float = Field(
        gt=0, description="Temperature of the softmax, in units of the final score."
    )

    def draw(self, pool: Pool, random: np.random.Generator) -> Indices:
        """Return the candidates `[n]` in a drawn order, by number."""
        return np.argsort(-(self._locations(pool) + random.gumbel(size=len(pool))), kind="stable")

    def chances(self, pool: Pool, items: Indices, k: int) -> Floats:
        """Return `[I, k]`, the probability of each of I candidates at ranks 1 to k."""
        locations = self._locations(pool)
        step = step_of(len(pool), widest=0.25)
        units = np.arange(_LOW, _HIGH, step)  # [Q]
        points = locations[items, None] + units
        density = np.exp(-units - np.exp(-units))[None].repeat(len(items), axis=0)

        def above(j: int) -> Floats:
            with np.errstate(over="ignore", under="ignore"):
                return -np.expm1(-np.exp(locations[j] - points))

        return rank_probabilities(density, above, items, count=len(pool), k=k, step=step)

    def conditional(self, pool: Pool, order: Indices, k: int) -> Floats:
        """Return `[k]`, the probability of each of the first k given those before it."""
        ordered = self._locations(pool)[order]
        left = np.logaddexp.accumulate(ordered[::-1])[::-1]
        return np.exp(ordered[:k] - left[:k])

    def _locations(self, pool: Pool) -> Floats:
        """Return score / temperature, up to a constant, with gaps beyond `_FAR` cut to it."""
        with np.errstate(over="ignore"):
            gaps = np.minimum(-np.diff(pool.score) / self.temperature, _FAR)
        return -np.concatenate([[0.0], np.cumsum(gaps)])
