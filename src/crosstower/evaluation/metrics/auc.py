"""Area under the ROC curve: over all rows, and within groups. No torch.

The AUC is the Mann-Whitney statistic: the chance that a positive row scores above a negative one,
where a tie counts half. It comes from average ranks, so it costs one sort.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from crosstower.errors import DataError
from crosstower.evaluation.metrics.registry import (
    Floats,
    Groups,
    LabelledPredictions,
    register_metric,
)
from crosstower.evaluation.metrics.values import refuse


@dataclass(frozen=True)
class GroupAuc:
    """gAUC and its support.

    >>> GroupAuc(value=0.7, groups=2, rows=10).value
    0.7

    Args:
        value: gAUC in [0, 1].
        groups: number of groups with both classes.
        rows: number of rows in these groups.

    """

    value: float
    groups: int
    rows: int


def roc_auc(y: Floats, p: Floats) -> float:
    """Return the area under the ROC curve in [0, 1]; 0.5 is chance.

    It is NaN, as it is undefined, without rows or if all labels are of one class.

    >>> roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75

    Args:
        y: labels `[B]`, 0 or 1.
        p: scores `[B]`; only their order counts.

    Raises:
        DataError: a score is NaN, or there is not one per label.

    """
    if len(y) != len(p):
        raise DataError(f"expected one score per label, got {len(p):,} for {len(y):,} labels")
    refuse(np.isnan(p), p, "expected a score")
    positives = float(np.sum(y, dtype=np.float64))
    pairs = positives * (len(y) - positives)
    if pairs == 0.0:
        return math.nan
    ranks = pl.Series(p).rank("average").to_numpy()
    above = float(np.dot(ranks, y.astype(np.float64))) - positives * (positives + 1.0) / 2.0
    return above / pairs


@register_metric(
    "auc",
    kinds=("binary",),
    title="AUC",
    better="higher",
    shown=("report", "table", "card", "curve"),
)
def _auc(rows: LabelledPredictions) -> float:
    return roc_auc(rows.labels, rows.predictions)


def group_ids(groups: Groups) -> pl.Series:
    """Return the id of each row's group `[B]`; null where it has none.

    NaN is not an id: pandas and NumPy write it where a number is missing.
    """
    if isinstance(groups, np.ndarray) and groups.dtype == object:
        # Only NaN differs from itself.
        groups = pl.Series("group", [g if g == g else None for g in groups.tolist()])  # noqa: PLR0124
    series = groups if isinstance(groups, pl.Series) else pl.Series("group", groups)
    return series.fill_nan(None) if series.dtype.is_float() else series


def group_auc(y: Floats, p: Floats, groups: Groups) -> GroupAuc:
    """Return the mean of the groups' AUCs, weighted by their rows (gAUC).

    Zhu et al. 2017, "Optimized Cost per Click in Taobao Display Advertising", eq. 8, with
    impressions as weights. Groups of one class have no AUC and do not count, nor do rows without a
    group (null or NaN). The value is NaN if no group has both classes.

    >>> y, p = np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.9, 0.8])
    >>> group_auc(y, p, np.array(["ann", "ann", "bob", "bob"]))
    GroupAuc(value=0.5, groups=2, rows=4)

    Args:
        y: labels `[B]`, 0 or 1.
        p: scores `[B]`, finite.
        groups: `[B]`, group ids, such as user ids.

    """
    frame = pl.DataFrame({"y": y, "p": p, "group": group_ids(groups)}).drop_nulls("group")
    # A fixed order of groups, so that the sum over them is the same in every run.
    table = frame.group_by("group", maintain_order=True).agg(
        pl.len().alias("rows"), grouped_auc_of("y", "p")
    )
    counted = table.filter(pl.col("auc").is_not_nan())
    rows = counted["rows"].to_numpy()
    if len(rows) == 0:
        return GroupAuc(math.nan, 0, 0)
    value = float(np.average(counted["auc"].to_numpy(), weights=rows))
    return GroupAuc(value, len(rows), int(rows.sum()))


@register_metric("gauc", kinds=("binary",), title="gAUC", better="higher", grouped=True)
def _group_auc(rows: LabelledPredictions) -> float:
    if rows.groups is None:
        return math.nan
    return group_auc(rows.labels, rows.predictions, rows.groups).value


def grouped_auc_of(label: str, prediction: str) -> pl.Expr:
    """Return the polars aggregation 'auc' of a group; NaN where it has one class only."""
    y = pl.col(label).cast(pl.Float64)
    positives, negatives = y.sum(), pl.len() - y.sum()
    rank_sum = (pl.col(prediction).rank("average") * y).sum()
    above = rank_sum - positives * (positives + 1.0) / 2.0
    return (above / (positives * negatives)).alias("auc")
