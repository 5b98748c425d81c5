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
from pydantic import Field

from crosstower.blending.exploration.epsilon import Epsilon
from crosstower.blending.exploration.plackett_luce import PlackettLuce
from crosstower.blending.exploration.pool import Floats, Pool
from crosstower.blending.exploration.thompson import Thompson
from crosstower.values.arrays import Indices

Exploration = Annotated[PlackettLuce | Epsilon | Thompson, Field(discriminator="kind")]
"""The `explore` of a bundle or a request: a kind and its options."""


@dataclass(frozen=True)
class Drawn:
    """A drawn order.

    `order` `[C]` are numbers of candidates; the first `pool` places were drawn among as many best
    candidates. `propensity` `[k]` is the probability of each shown item at its rank, 1 beyond the
    pool; `conditional` `[k]` that given the items above, None where the kind has no closed form.
    """

    order: Indices
    pool: int
    propensity: Floats
    conditional: Floats | None


def explore(
    kind: Exploration, score: Floats, rows: Indices, k: int, random: np.random.Generator
) -> Drawn:
    """Draw the order of candidates, and compute the propensities of the first k.

    >>> score, rows = np.array([0.9, 0.5, 0.1]), np.array([10, 10, 10])
    >>> drawn = explore(Epsilon(epsilon=0.3), score, rows, 2, np.random.default_rng(0))
    >>> drawn.order.tolist(), drawn.propensity.round(3).tolist()
    ([0, 2, 1], [0.8, 0.135])

    Args:
        kind: of the exploration; its own seed takes the place of `random`.
        score: `[C]` final scores in falling order, finite.
        rows: `[C]` training rows per item.
        k: number of shown items, at most C.
        random: generator of the draw.

    """
    pool = Pool(score[: kind.top], rows[: kind.top])
    if kind.seed is not None:
        random = np.random.default_rng(kind.seed)
    first = kind.draw(pool, random)
    order = np.concatenate([first, np.arange(len(pool), len(score))])
    drawn = min(k, len(pool))
    propensity, conditional = np.ones(k), None
    if drawn:
        chances = kind.chances(pool, first[:drawn], drawn)
        propensity[:drawn] = np.clip(np.diagonal(chances), 0.0, 1.0)
        given = kind.conditional(pool, first, drawn)
        conditional = None if given is None else np.append(given, np.ones(k - drawn))
    return Drawn(order, len(pool), propensity, conditional)
