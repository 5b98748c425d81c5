"""Comparison of several orders of the same rows: by the blend, a plain sum, single tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.blending.blender import FittedBlend, fit_blend
from crosstower.blending.columns import numbers_of, types_of
from crosstower.blending.diversity import Counts, rerank
from crosstower.blending.held_out import HeldOut
from crosstower.blending.measures import task_gain
from crosstower.blending.orders import order_within, share_by_rank, share_in_top
from crosstower.blending.utility import Utility, gain
from crosstower.evaluation.metrics.auc import group_auc
from crosstower.evaluation.metrics.bootstrap import bootstrap_interval
from crosstower.evaluation.metrics.group_order import GroupValues
from crosstower.evaluation.metrics.ndcg import ndcg_per_group, total_at_k_per_group
from crosstower.evaluation.reports.content import Role
from crosstower.recipe.blend import Blend
from crosstower.recipe.schema import Schema
from crosstower.values.arrays import Floats

Interval = tuple[float, float]

BLENDED, PLAIN, SHUFFLED = "blend", "plain sum", "shuffled"
BEST, TRUE_SUM = "best possible", "true weighted sum"
BEFORE_DIVERSITY = "before diversity"


@dataclass(frozen=True)
class ComparisonSpec:
    """Specification of a comparison: one list of `k` items per value of column `user`."""

    schema: Schema
    user: str
    k: int
    utility: Utility | None = None


@dataclass(frozen=True)
class Measured:
    """One order of the test rows of one training run.

    `rank` `[rows]` is each row's position in its list. `groups` are the metrics that are means over
    users, `values` all metrics: "utility", and for each task "ndcg.TASK", "total.TASK" (of the
    labels of the first k), "expected.TASK" (of their true probabilities) and "gauc.TASK".
    """

    name: str
    role: Role
    rank: NDArray[np.int64]
    groups: Mapping[str, GroupValues]
    values: Mapping[str, float]
    shares: Mapping[str, float]

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """The 95 % bootstrap interval over users of each mean over users."""
        return {name: bootstrap_interval(g.values) for name, g in self.groups.items()}


def compare(
    comparison: ComparisonSpec, fitted: FittedBlend, rows: HeldOut
) -> tuple[list[Measured], Counts | None]:
    """Return the blend's order of the test rows, then the others; and the effect of diversity."""
    blend, score, counts = fitted.spec, fitted.score(rows.test), None
    orders: list[tuple[str, Role, Floats]] = []
    if blend.diversity is not None:
        rank, counts = rerank(blend.diversity, rows.test[comparison.user], score, rows.test)
        orders.append((BLENDED, "model", -rank.astype(np.float64)))
        orders.append((BEFORE_DIVERSITY, "baseline", score))
    else:
        orders.append((BLENDED, "model", score))
    for name, other in _others(comparison, blend, rows).items():
        orders.append((name, "baseline", other))
    orders.append((SHUFFLED, "constant", np.zeros(rows.test.height)))
    best = _best(comparison, blend, rows.test)
    if best is not None:  # the utility has a best order; a blend alone only says what is summed
        orders.append((TRUE_SUM if comparison.utility is None else BEST, "best", best))
    by = type_column(blend, comparison.utility)
    return [
        measure(comparison, name, role, s, frame=rows.test, by=by) for name, role, s in orders
    ], counts


def _others(comparison: ComparisonSpec, blend: Blend, rows: HeldOut) -> dict[str, Floats]:
    """Return the baselines of the blend: scores by a plain sum and by each single task.

    The weights of the plain sum are the values of the utility, or those of the blend.
    """
    weights = {task: weight for task, weight in blend.weights.items() if weight != 0.0}
    values = comparison.utility.values if comparison.utility is not None else weights
    plain = Blend(weights={task: value for task, value in values.items() if value != 0.0})
    specs = {f"{task} alone": Blend(weights={task: w}) for task, w in weights.items()}
    if blend.model_copy(update={"diversity": None}) != plain:
        specs = {PLAIN: plain, **specs}
    kinds = comparison.schema.kinds()
    return {n: fit_blend(spec, kinds, rows.valid).score(rows.test) for n, spec in specs.items()}


def _best(comparison: ComparisonSpec, blend: Blend, frame: pl.DataFrame) -> Floats | None:
    """Return the score by true probabilities, if those of all weighted tasks are known."""
    truths = comparison.schema.truths()
    if comparison.utility is not None:
        counted = [task for task, value in comparison.utility.values.items() if value > 0.0]
        if set(counted) <= set(truths):
            return gain(comparison.utility, frame, comparison.schema.kinds(), truth=truths)
        return None
    counted = [task for task, weight in blend.weights.items() if weight != 0.0]
    if blend.mode == "product" or not set(counted) <= set(truths):
        return None
    return sum(
        (blend.weights[t] * frame[truths[t]].to_numpy() for t in counted), np.zeros(frame.height)
    )


def measure(
    comparison: ComparisonSpec,
    name: str,
    role: Role,
    score: Floats,
    *,
    frame: pl.DataFrame,
    by: str | None,
) -> Measured:
    """Return the metrics of the order by falling score; ties count as the mean of their orders."""
    users, k, kinds = frame[comparison.user], comparison.k, comparison.schema.kinds()
    groups: dict[str, GroupValues] = {}
    values: dict[str, float] = {}
    if comparison.utility is not None:
        metric = ndcg_per_group if comparison.utility.metric == "ndcg" else total_at_k_per_group
        groups["utility"] = metric(users, score, gain(comparison.utility, frame, kinds), k)
    for task, kind in kinds.items():
        worth = task_gain(frame, task)
        groups[f"ndcg.{task}"] = ndcg_per_group(users, score, worth, k)
        groups[f"total.{task}"] = total_at_k_per_group(users, score, numbers_of(frame, task), k)
        if task in comparison.schema.truths():
            truth = frame[comparison.schema.truths()[task]]
            groups[f"expected.{task}"] = total_at_k_per_group(users, score, truth, k)
        if kind == "binary":
            known = pl.Series(~np.isnan(worth))
            mine, theirs = worth[known.to_numpy()], score[known.to_numpy()]
            values[f"gauc.{task}"] = group_auc(mine, theirs, users.filter(known)).value
    values = {name: group.mean for name, group in groups.items()} | values
    # If all scores are equal, the order of the rows would decide, which may be one by time.
    chance = np.random.default_rng(0).random(len(score))
    rank = order_within(users, score if np.ptp(score) > 0.0 else chance)
    return Measured(name, role, rank, groups, values, _shares(users, rank, frame, by, k))


def _shares(
    users: pl.Series, rank: NDArray[np.int64], frame: pl.DataFrame, by: str | None, k: int
) -> dict[str, float]:
    if by is None:
        return {}
    found = share_in_top(users, rank, types_of(frame, by), top=k)
    return {
        kind or "missing": share for kind, share in zip(found["type"], found["share"], strict=True)
    }


def shares_by_rank(
    measured: Sequence[Measured], frame: pl.DataFrame, by: str | None, k: int
) -> dict[str, pl.DataFrame]:
    """Return the share of each content type per position, by the name of the order."""
    if by is None:
        return {}
    types = types_of(frame, by)
    shown = [m for m in measured if m.name in (BLENDED, BEFORE_DIVERSITY, PLAIN)]
    return {m.name: share_by_rank(m.rank, types, top=k) for m in shown}


def type_column(blend: Blend, utility: Utility | None) -> str | None:
    """Return the column shown as content types: the one of `by`, of caps or of constraints."""
    diversity = blend.diversity.by if blend.diversity is not None else None
    wanted: list[str | None] = [blend.by, diversity]
    if utility is not None:
        wanted += [utility.relative_to, *(c.column for c in utility.constraints), *utility.by]
    return next((name for name in wanted if name is not None), None)
