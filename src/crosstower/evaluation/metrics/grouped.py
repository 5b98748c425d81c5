"""Metrics of the order that predictions give to the rows of each group. No torch."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from crosstower.evaluation.metrics.auc import Groups
from crosstower.evaluation.metrics.group_order import GroupValues, Values, order_groups
from crosstower.evaluation.metrics.ndcg import ndcg_per_group
from crosstower.evaluation.metrics.registry import LabelledPredictions, register_metric
from crosstower.values.arrays import Indices

TOP = 10


@register_metric(
    f"ndcg@{TOP}",
    kinds=("binary", "rating"),
    title=f"NDCG@{TOP}",
    better="higher",
    shown=("report", "table", "card", "funnel", "curve"),
    grouped=True,
)
def _ndcg(rows: LabelledPredictions) -> float:
    """Mean NDCG over groups with a positive label; undefined with negative labels."""
    if rows.groups is None or bool((rows.labels < 0).any()):
        return math.nan
    return ndcg_per_group(rows.groups, rows.predictions, rows.labels, TOP).mean


@register_metric(
    f"mrr@{TOP}",
    kinds=("binary",),
    title=f"MRR@{TOP}",
    better="higher",
    shown=("report",),
    grouped=True,
)
def _mrr(rows: LabelledPredictions) -> float:
    if rows.groups is None:
        return math.nan
    return reciprocal_rank_per_group(rows.groups, rows.predictions, rows.labels, TOP).mean


def reciprocal_rank_per_group(
    groups: Groups, score: Values, relevant: Values, k: int
) -> GroupValues:
    """Return 1 over the rank of each group's first relevant row, 0 if it is beyond k.

    Ties are broken at random, and the value is the mean over these orders: with r
    relevant rows among m tied ones, the first stands at place t with the probability
    C(m - t, r - 1) / C(m, r). Groups without a relevant row are omitted.

    >>> import polars as pl
    >>> users = pl.Series(["ann", "ann", "bob", "bob"])
    >>> reciprocal_rank_per_group(users, np.array([2, 1, 1, 1]), np.array([0, 1, 0, 1]), 10).values
    array([0.5 , 0.75])

    Args:
        groups: `[B]`, group ids, such as user ids.
        score: `[B]`, higher ranks first; no NaN.
        relevant: `[B]`, above 0 for a relevant row.
        k: list length, at least 1.

    Raises:
        DataError: lengths differ, a score is NaN, a label is negative or infinite, or k is below 1.

    """
    rows = order_groups(groups, score, relevant, k, losses=False)
    if len(rows.code) == 0:
        return GroupValues(rows.groups, np.empty(0), rows.seen)
    first, owner, size, before = rows.ties()
    hits = np.add.reduceat((rows.gain > 0).astype(np.int64), first)
    found = np.flatnonzero(hits)
    found = found[np.unique(owner[found], return_index=True)[1]]  # the first block of each group
    values = _expected_reciprocal(before[found], size[found], hits[found], k)
    return GroupValues(rows.groups[owner[found]], values, rows.seen - len(values))


def _expected_reciprocal(
    before: Indices, size: Indices, hits: Indices, k: int
) -> NDArray[np.float64]:
    """Return `[G]` the expected 1 / rank of the first hit of a block of tied rows."""
    place = np.arange(1, k + 1)  # within the block
    left = size[:, None] - place
    possible = (left >= hits[:, None] - 1) & (before[:, None] + place <= k)
    ways = _log_choose(np.where(possible, left, hits[:, None]), hits[:, None] - 1)
    chance = np.exp(ways - _log_choose(size, hits)[:, None])
    return np.where(possible, chance / (before[:, None] + place), 0.0).sum(1)


def _log_choose(n: Indices, k: Indices) -> NDArray[np.float64]:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
