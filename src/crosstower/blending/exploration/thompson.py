"""Thompson sampling: items with few training rows draw scores with a wide posterior."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import ndtr

from crosstower.blending.exploration.pool import DrawOptions, Pool
from crosstower.blending.exploration.races import rank_probabilities, step_of
from crosstower.values.arrays import Floats, Indices

_REACH = 8.5  # standard deviations
_NARROW = 0.1  # of the prior: a narrower posterior would need more points of integration


class Thompson(DrawOptions):
    """Order candidates by a score drawn from a Gaussian posterior per item.

    The model: the true score of an item is its predicted score plus an offset of its own, with
    prior N(0, prior_sd²). Each training row of the item is an observation of the offset with noise
    N(0, noise_sd²). After n rows the posterior of the score is

        N(predicted score, 1 / (1 / prior_sd² + n / noise_sd²)).

    The mean is the predicted score, as the ranker was trained on the same rows. An item that was
    added after the training has the whole prior, so new and rare items are explored most. A
    standard deviation below prior_sd / 10 is raised to it. The probability of an item at a rank is
    an integral (see `races`) whose error is below 1e-9; there is no closed form given the items
    above.

    >>> pool = Pool(np.array([1.0, 0.0]), np.array([100, 0]))  # an old item and a new one
    >>> Thompson(prior_sd=1, noise_sd=1).chances(pool, np.arange(2), 1).round(3).T.tolist()
    [[0.84, 0.16]]
    """

    kind: Literal["thompson"] = "thompson"
    prior_sd: float = Field(
        ge=1e-9,
        le=1e9,
        description="Standard deviation of items' offsets, in units of the final score.",
    )
    noise_sd: float = Field(
        ge=1e-9,
        le=1e9,
        description="Standard deviation of one observation, in units of the final score.",
    )

    def draw(self, pool: Pool, random: np.random.Generator) -> Indices:
        """Return the candidates `[n]` in a drawn order, by number."""
        drawn = pool.score + self.deviations(pool.rows) * random.standard_normal(len(pool))
        return np.argsort(-drawn, kind="stable")

    def chances(self, pool: Pool, items: Indices, k: int) -> Floats:
        """Return `[I, k]`, the probability of each of I candidates at ranks 1 to k."""
        deviation = self.deviations(pool.rows)
        own = deviation[items, None]  # [I, 1]
        step = step_of(len(pool)) * deviation.min() / deviation.max()
        units = np.arange(-_REACH, _REACH + step, step)  # [Q]
        density = np.exp(-0.5 * units**2) / np.sqrt(2 * np.pi) + np.zeros_like(own)
        points = pool.score[items, None] + own * units

        def above(j: int) -> Floats:
            with np.errstate(over="ignore"):
                return ndtr((pool.score[j] - points) / deviation[j])

        return rank_probabilities(density, above, items, count=len(pool), k=k, step=step)

    def conditional(self, pool: Pool, order: Indices, k: int) -> None:
        """Return None: given the items above, the probability has no closed form."""

    def deviations(self, rows: Indices) -> Floats:
        """Return the standard deviation of the posterior of items with some training rows `[n]`."""
        variance = 1.0 / (1.0 / self.prior_sd**2 + rows / self.noise_sd**2)
        return np.maximum(np.sqrt(variance), _NARROW * self.prior_sd)
