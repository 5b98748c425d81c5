"""Soft spacing: equal values keep their distance, by a penalty that decays with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crosstower.recipe.rule_kinds import Spacing
from crosstower.values.arrays import Floats, Indices


def spaced_order(
    relevance: Floats, columns: Sequence[tuple[Spacing, Indices]], *, top: int
) -> Indices:
    """Return the rows that are placed first, at most `top`.

    Each place goes to the row with the highest relevance - Σ strength·2^(-(d-1)/half_distance),
    summed over the rules and over the rows above with the same value, at distance d. Ties go to the
    first row.

    >>> rule = Spacing(column="topic", strength=0.5)
    >>> spaced_order(np.array([1.0, 0.9, 0.6]), [(rule, np.array([0, 0, 1]))], top=3).tolist()
    [0, 2, 1]

    Args:
        relevance: `[C]` in [0, 1].
        columns: rules, each with the values of its column as codes `[C]`, -1 where missing.
        top: number of rows.

    """
    value = relevance.astype(np.float64)
    # The sum over all rows above decays as a whole: one number per value is enough.
    sums = [np.zeros(int(codes.max(initial=-1)) + 2) for _, codes in columns]  # the last: missing
    decays = [2.0 ** (-1.0 / rule.half_distance) for rule, _ in columns]
    chosen: list[int] = []
    for _ in range(min(top, len(value))):
        penalty = np.zeros(len(value))
        for (rule, codes), total in zip(columns, sums, strict=True):
            penalty += rule.strength * total[codes]
        best = int(np.argmax(value - penalty))
        chosen.append(best)
        value[best] = -np.inf
        for number, (_, codes) in enumerate(columns):
            sums[number] = sums[number] * decays[number]
            if codes[best] >= 0:
                sums[number][codes[best]] += 1.0
    return np.array(chosen, dtype=np.int64)
