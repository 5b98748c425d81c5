"""Small pools, and probabilities at ranks by brute force."""

from collections import Counter
from collections.abc import Callable
from itertools import permutations

import numpy as np
from scipy import stats

from crosstower.blending.exploration.pool import Pool

DRAWS = 200_000


def pool_of(*scores: float, rows: tuple[int, ...] = ()) -> Pool:
    """A pool of scores in falling order."""
    return Pool(np.array(scores, dtype=np.float64), np.array(rows or [0] * len(scores)))


def by_enumeration(probability: Callable[[tuple[int, ...]], float], count: int) -> np.ndarray:
    """Return `[n, n]`, the probability of each item at each rank, from that of each order."""
    found = np.zeros((count, count))
    for order in permutations(range(count)):
        found[list(order), range(count)] += probability(order)
    return found


def p_values(kind, pool: Pool, k: int) -> list[float]:
    """Return the p-value per rank of Pearson's test of 200,000 draws against `chances`."""
    random, orders = np.random.default_rng(3), Counter[tuple[int, ...]]()
    for _ in range(DRAWS):
        orders[tuple(kind.draw(pool, random)[:k].tolist())] += 1
    counts = np.zeros((len(pool), k))
    for order, count in orders.items():
        counts[list(order), range(k)] += count
    expected = DRAWS * kind.chances(pool, np.arange(len(pool)), k)
    assert expected.min() > 5.0  # the test's own condition
    return [
        stats.chisquare(counts[:, rank], expected[:, rank], sum_check=False).pvalue
        for rank in range(k)
    ]
