"""Item-at-rank probabilities where each item draws an independent value and the highest is first.

Item i is at rank r if exactly r - 1 others draw more than it does. With density f_i of its value
and a_j(y) = P(value of j > y),

    P(i at r) = ∫ f_i(y) · PB(r - 1; {a_j(y), j ≠ i}) dy,

where PB is the Poisson-binomial probability of r - 1 successes. The trapezoidal rule computes the
integral. Its error falls exponentially with the step for analytic integrands that decay on both
sides (Trefethen & Weideman 2014); with the steps of `step_of` it is below 1e-9. Plackett-Luce is
the case of Gumbel values (Yellott 1977), Thompson sampling with a Gaussian posterior that of normal
ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crosstower.values.arrays import Floats, Indices

_NOTHING = 1e-18  # a probability that changes no digit of the result


def step_of(count: int, *, widest: float = np.inf) -> float:
    """Return the step of integration for a number of items, in standard units of their values.

    The r-th highest of n values varies by about 1 / √n of a unit.
    """
    return min(widest, 1.0 / np.sqrt(count))


def rank_probabilities(
    density: Floats,
    above: Callable[[int], Floats],
    items: Indices,
    *,
    count: int,
    k: int,
    step: float,
) -> Floats:
    """Return `[I, k]`, the probability of each of I items at ranks 1 to k.

    >>> points = np.linspace(-8, 8, 65)  # two standard normal values: each rank is a coin toss
    >>> from scipy.stats import norm
    >>> chances = rank_probabilities(
    ...     norm.pdf(points)[None], lambda j: norm.sf(points)[None], np.array([0]), count=2, k=2,
    ...     step=0.25)
    >>> chances.round(6).tolist()
    [[0.5, 0.5]]

    Args:
        density: `[I, Q]` of each item's value at its Q points of integration.
        above: returns for the number of an item its `[I, Q]` probability to draw more than each
            of these points.
        items: `[I]` numbers of the items, each below `count`.
        count: number of all items, n.
        k: number of ranks, at most n.
        step: distance of neighbouring points, in the units of `density`.

    """
    counts = np.zeros((k, *density.shape))  # [k, I, Q]: P(so many of the items so far draw more)
    counts[0] = 1.0
    for other in range(count):
        more = np.where(items[:, None] == other, 0.0, above(other))
        if more.max(initial=0.0) < _NOTHING:
            continue
        moved = counts[:-1] * more
        counts *= 1.0 - more
        counts[1:] += moved
    return np.einsum("kiq,iq->ik", counts, density * step)
