"""Utility of an order, per task and in total, and the constraints that it meets.

Ties count as the mean over their orders, so results do not depend on the order of the rows (see
`evaluation.metrics.group_order`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from crosstower.blending.columns import column_of, numbers_of, refuse, types_of
from crosstower.blending.utility import Constraint, Utility, gain
from crosstower.errors import DataError, did_you_mean
from crosstower.evaluation.metrics.auc import group_ids
from crosstower.evaluation.metrics.ndcg import ndcg_per_group, total_at_k_per_group
from crosstower.recipe.tasks import HeadKind
from crosstower.values.arrays import Floats

_ROUNDING = 1e-9


@dataclass(frozen=True)
class OrderResults:
    """Results of one order: utility, NDCG@k per task, and the value of each constraint."""

    utility: float
    ndcg: Mapping[str, float]
    reached: tuple[float, ...]


class OrderMeasures:
    """Rows with their labels, prepared to measure many orders.

    Args:
        utility: values, constraints and list length.
        kinds: of the model's tasks.
        frame: rows with labels, the user column and the columns of the utility.

    Raises:
        RecipeError: the utility names an unknown task.
        DataError: a column is missing, no row has any value, or a task with a constraint has no
            positive label.

    """

    def __init__(
        self, utility: Utility, kinds: Mapping[str, HeadKind], frame: pl.DataFrame
    ) -> None:
        self._utility = utility
        self.users = group_ids(column_of(frame, utility.user))
        self.gain = gain(utility, frame, kinds)
        known = ~np.isnan(self.gain) & self.users.is_not_null().to_numpy()
        self.left_out = int((~known).sum())
        if not bool((self.gain[known] > 0.0).any()):
            raise DataError(
                f"utility: all {int(known.sum()):,} rows with a user and labels have the value 0;"
                f" check the labels of {', '.join(utility.values)}"
            )
        self._labels = {task: task_gain(frame, task) for task in kinds}
        self._mine = [_has_value(c, frame) for c in utility.constraints]
        sizes = self.users.drop_nulls().to_frame("user").group_by("user").len().sort("user")["len"]
        self._places = np.minimum(sizes.to_numpy(), utility.k)

    def of(self, score: Floats) -> OrderResults:
        """Return the results of the order by falling score `[rows]`."""
        u = self._utility
        metric = ndcg_per_group if u.metric == "ndcg" else total_at_k_per_group
        worth = metric(self.users, score, self.gain, u.k).mean
        ndcg = {t: task_ndcg(self.users, score, y, u.k) for t, y in self._labels.items()}
        pairs = zip(u.constraints, self._mine, strict=True)
        reached = [self._share(score, y) if c.task is None else ndcg[c.task] for c, y in pairs]
        return OrderResults(worth, ndcg, tuple(reached))

    def excess(self, figures: OrderResults) -> list[float]:
        """Return the violation of each constraint; 0 or less means that it is met."""
        pairs = zip(self._utility.constraints, figures.reached, strict=True)
        return [_missed(constraint, value) for constraint, value in pairs]

    def limit(self, number: int) -> float:
        """Return the value closest to constraint `number` that any order of the rows can reach.

        For a share at least: mean over users of min(k, rows with the value) / min(k, rows).
        """
        constraint, mine = self._utility.constraints[number], self._mine[number]
        if constraint.task is not None:
            return 1.0
        return self._share(mine if constraint.max_share is None else -mine, mine)

    def possible(self) -> bool:
        """Return whether each constraint alone can be met by some order."""
        constraints = enumerate(self._utility.constraints)
        return all(_missed(constraint, self.limit(i)) <= 0.0 for i, constraint in constraints)

    def _share(self, score: Floats, mine: Floats) -> float:
        totals = total_at_k_per_group(self.users, score, mine, self._utility.k)
        return float(np.mean(totals.values / self._places))


def task_gain(frame: pl.DataFrame, task: str) -> Floats:
    """Return the labels of a task as gains `[rows]`, NaN where missing.

    NDCG does not allow negative gains: a column with negative labels is shifted to a minimum of 0.

    Raises:
        DataError: the column is missing, or a label is infinite.

    """
    label = numbers_of(frame, task)
    refuse(np.isinf(label), label, f"column '{task}': expected a finite label")
    lowest = float(np.nanmin(label, initial=0.0))
    return label - lowest


def task_ndcg(users: pl.Series, score: Floats, labels: Floats, k: int) -> float:
    """Return the mean NDCG@k over users; NaN if no user has a positive label."""
    if not bool((labels > 0.0).any()):
        return math.nan
    return ndcg_per_group(users, score, labels, k).mean


def _has_value(constraint: Constraint, frame: pl.DataFrame) -> Floats:
    """Return 1 for rows that count towards the constraint's share, else 0; or a task's labels."""
    if constraint.column is None:
        task = str(constraint.task)
        labels = task_gain(frame, task)
        if not bool((labels > 0.0).any()):
            raise DataError(
                f"constraints: task '{task}' has no positive label here, so it has no NDCG; remove"
                " min_ndcg or use more rows"
            )
        return labels
    types = types_of(frame, constraint.column)
    same = (types == constraint.value).fill_null(value=False)
    if not same.any():
        known = types.drop_nulls().unique().to_list()
        raise DataError(
            f"constraints: no row has {constraint.column} '{constraint.value}'"
            f"{did_you_mean(str(constraint.value), known)}; give a value of that column"
        )
    return same.cast(pl.Float64).to_numpy()


def _missed(constraint: Constraint, value: float) -> float:
    at_most = constraint.max_share is not None
    return (value - constraint.bound if at_most else constraint.bound - value) - _ROUNDING
