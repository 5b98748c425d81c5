"""Rules that change scores: boost, bury and freshness. Shape: C candidates."""

from __future__ import annotations

import numpy as np

from crosstower.blending.rules.attributes import Mask, RuleRows
from crosstower.recipe.rule_kinds import Boost, Bury, Freshness
from crosstower.values.arrays import Floats


def scaled(score: Floats, factor: Floats | float) -> Floats:
    """Return scores times a factor, so that a factor above 1 raises and one below 1 lowers them.

    A negative score is divided by the factor: multiplied, it would move the other way.

    >>> scaled(np.array([0.2, -0.2]), 2.0).tolist()
    [0.4, -0.1]

    Args:
        score: `[C]`.
        factor: `[C]` or one for all, above 0.

    """
    return np.where(score < 0, score / factor, score * factor)


def boosted(score: Floats, fits: Mask, rule: Boost | Bury) -> Floats:
    """Return scores `[C]`, raised or lowered where the condition of a rule is met."""
    if isinstance(rule, Boost):
        factor, amount = rule.multiply or 1.0, rule.add or 0.0
    else:
        factor, amount = 1.0 / (rule.divide or 1.0), -(rule.subtract or 0.0)
    return np.where(fits, scaled(score, factor) + amount, score)


def aged(score: Floats, rows: RuleRows, rule: Freshness, now: float) -> Floats:
    """Return scores `[C]` times 2^(-age / half-life), see `scaled`.

    Args:
        score: `[C]`.
        rows: the candidates.
        rule: names the column of times.
        now: seconds since 1970-01-01 UTC; a later time counts as now.

    """
    age = np.maximum(now - rows.times(rule.column), 0.0)
    known = np.isfinite(age)
    if not known.any():
        return score
    halves = np.where(known, age, age[known].max()) / rule.half_life
    return scaled(score, np.exp2(-np.minimum(halves, _MOST_HALVES)))


_MOST_HALVES = 500.0
"""Older items are alike: a smaller factor would lose precision, and a quotient overflow."""
