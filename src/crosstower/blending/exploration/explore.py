"""Draw the order of a list by one of the kinds of exploration, with propensities.

The propensity of a shown item is the probability, over all draws for the same request, that the
item stands at its rank. Inverse propensity scoring per rank needs exactly this number: the mean of
reward / propensity over shown rows is unbiased if the reward of an item depends on the item and
its rank, and not on the other items (the item-position model of Li et al. 2018). The conditional
propensity is the probability given the items above; the product of these over a list is the
probability of the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from crosstower.blending.exploration.epsilon import Epsilon
from crosstower.blending.exploration.plackett_luce import PlackettLuce
from crosstower.blending.exploration.pool import Pool
from crosstower.blending.exploration.thompson import Thompson
from crosstower.values.arrays import Floats, Indices

Exploration = Annotated[PlackettLuce | Epsilon | Thompson, Field(discriminator="kind")]
"""The `explore` of a bundle or a request: a kind and its options."""


@dataclass(frozen=True)
class Drawn:
    """A drawn order.

    Args:
        kind: of the exploration.
        pool: the candidates that took part, best first.
        order: `[C]` numbers of all candidates; those after the pool keep their places.

    """

    kind: Exploration
    pool: Pool
    order: Indices

    def propensities(self, ranks: Indices) -> Floats:
        """Return `[S]`, the probability of the item that was drawn at each of some ranks.

        It is 1 beyond the pool, where nothing was drawn.

        Args:
            ranks: `[S]` drawn ranks, from 1.

        """
        found, drawn = np.ones(len(ranks)), self._drawn(ranks)
        if drawn.any():
            at = ranks[drawn] - 1
            chances = self.kind.chances(self.pool, self.order[at], int(at.max()) + 1)
            found[drawn] = np.clip(chances[np.arange(len(at)), at], 0.0, 1.0)
        return found

    def conditionals(self, ranks: Indices) -> Floats | None:
        """Return `[S]`, the same given the items drawn above; None if there is no closed form."""
        found, drawn = np.ones(len(ranks)), self._drawn(ranks)
        if drawn.any():
            first = self.order[: len(self.pool)]
            given = self.kind.conditional(self.pool, first, int(ranks[drawn].max()))
            if given is None:
                return None
            found[drawn] = given[ranks[drawn] - 1]
        return found

    def _drawn(self, ranks: Indices) -> NDArray[np.bool_]:
        return ranks <= len(self.pool)


def explore(kind: Exploration, score: Floats, rows: Indices, random: np.random.Generator) -> Drawn:
    """Draw the order of candidates.

    >>> score, rows = np.array([0.9, 0.5, 0.1]), np.array([10, 10, 10])
    >>> drawn = explore(Epsilon(epsilon=0.3), score, rows, np.random.default_rng(0))
    >>> drawn.order.tolist(), drawn.propensities(np.array([1, 2])).round(3).tolist()
    ([0, 2, 1], [0.8, 0.135])

    Args:
        kind: of the exploration; its own seed takes the place of `random`.
        score: `[C]` final scores in falling order, finite.
        rows: `[C]` training rows per item.
        random: generator of the draw.

    """
    pool = Pool(score[: kind.top], rows[: kind.top])
    if kind.seed is not None:
        random = np.random.default_rng(kind.seed)
    order = np.concatenate([kind.draw(pool, random), np.arange(len(pool), len(score))])
    return Drawn(kind, pool, order)
