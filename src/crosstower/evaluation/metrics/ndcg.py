"""NDCG and totals of an order within each user, session or request. No torch.

Shapes: B rows, G groups. Rows of equal score have no order: a metric is its mean over all
orders of them, as `group_order` explains.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crosstower.evaluation.metrics.auc import Groups
from crosstower.evaluation.metrics.group_order import GroupValues, Values, order_groups


def ndcg_per_group(groups: Groups, score: Values, gain: Values, k: int) -> GroupValues:
    """Return each group's NDCG@k in [0, 1]: the discounted gain of its order over the best one.

    Järvelin & Kekäläinen 2002, with linear gain and the discount log2(rank + 1). Groups without a
    positive gain have no NDCG and are omitted. Rows without a gain or without a group (null or NaN)
    do not count.

    >>> users = pl.Series(["ann", "ann", "bob", "bob", "eve"])
    >>> found = ndcg_per_group(users, np.array([2, 1, 2, 1, 1]), np.array([1, 0, 0, 1, 0]), k=2)
    >>> found.values.round(4).tolist(), found.left_out
    ([1.0, 0.6309], 1)

    Args:
        groups: `[B]`, group ids, such as user ids.
        score: `[B]`, higher ranks first; no NaN.
        gain: `[B]`, 0 or more: a label, a probability, or a sum of them.
        k: list length, at least 1.

    Raises:
        DataError: lengths differ, a score is NaN, a gain is negative or infinite, or k is below 1.

    """
    rows = order_groups(groups, score, gain, k, losses=False)
    discount = 1.0 / np.log2(np.arange(rows.longest(k)) + 2.0)
    best = rows.by_gain().expected(discount)
    known = best > 0.0
    values = rows.expected(discount)[known] / best[known]
    return GroupValues(rows.groups.filter(pl.Series(known)), values, rows.seen - len(values))


def total_at_k_per_group(groups: Groups, score: Values, gain: Values, k: int) -> GroupValues:
    """Return each group's sum of gain over the first k rows of its order, in units of the gain.

    With likes as gain and sessions as groups, it is the number of likes in the first k rows of a
    session. A group without gain has the total 0; groups whose gains are all missing are omitted.

    >>> users = pl.Series(["ann", "ann", "bob"])
    >>> total_at_k_per_group(users, np.array([2, 1, 1]), np.array([3, 5, 4]), k=1).values.tolist()
    [3.0, 4.0]

    Args:
        groups: `[B]`, group ids, such as user ids.
        score: `[B]`, higher ranks first; no NaN.
        gain: `[B]`; negative values are losses.
        k: list length, at least 1.

    Raises:
        DataError: lengths differ, a score is NaN, a gain is infinite, or k is below 1.

    """
    rows = order_groups(groups, score, gain, k, losses=True)
    values = rows.expected(np.ones(rows.longest(k)))
    return GroupValues(rows.groups, values, rows.seen - len(values))
