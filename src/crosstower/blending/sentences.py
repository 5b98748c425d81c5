"""Findings about a blend in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from crosstower.blending.blender import FittedBlend
from crosstower.blending.columns import named_types
from crosstower.blending.comparison import (
    BEFORE_DIVERSITY,
    BLENDED,
    PLAIN,
    SHUFFLED,
    ComparisonSpec,
    Measured,
)
from crosstower.blending.diversity import Counts
from crosstower.blending.measured_lists import Lists
from crosstower.blending.measures import OrderMeasures
from crosstower.blending.tuning import Tuned
from crosstower.evaluation.metrics.bootstrap import bootstrap_difference


def sentences(
    comparison: ComparisonSpec, measured: Sequence[Measured], counts: Counts | None, lists: Lists
) -> list[str]:
    """Return the findings on the test rows of one training run, the most important first.

    Orders are compared only if the lists can distinguish them.
    """
    by_name = {m.name: m for m in measured}
    blend = by_name[BLENDED]
    words = [_first_places(comparison, blend, lists), *lists.words()]
    if lists.comparable:
        words += _comparisons(comparison, blend, by_name)
    words += _types(comparison, by_name)
    if counts is not None:
        words.append(_diversity(counts))
    return words


def _comparisons(
    comparison: ComparisonSpec, blend: Measured, by_name: Mapping[str, Measured]
) -> list[str]:
    """Return sentences on the differences between the blend and the other orders."""
    words = list[str]()
    for metric in _compared(comparison):
        words += _against(blend, by_name.get(SHUFFLED), metric, comparison.k)
    for task in comparison.schema.tasks:
        words += _against(blend, by_name.get(f"{task} alone"), f"ndcg.{task}", comparison.k)
    for other in (PLAIN, BEFORE_DIVERSITY):
        for metric in _compared(comparison):
            words += _against(blend, by_name.get(other), metric, comparison.k)
    return words


def fallback_words(fitted: FittedBlend, unseen: Mapping[str | None, int]) -> list[str]:
    """Return sentences about rows and types that use the map of all types."""
    words = list(fitted.notes)
    if unseen:
        words.append(
            f"{sum(unseen.values()):,} test rows use the maps of all types together, because their"
            f" type was missing, unseen or rare in the validation rows: {named_types(unseen)}."
        )
    return words


def tuning_words(tuned: Tuned) -> list[str]:
    """Return sentences about the tuning, and the value of each constraint in it."""
    trials = tuned.trials.height
    best = f"the best of {trials:,} blends has utility {tuned.utility:.4f} there"
    words = [f"Tuned on the validation rows: {best}."]
    words += [f"Constraint {k.words}: {k.reached:.3f} on them." for k in tuned.constraints]
    if tuned.left_out:
        words.append(f"{tuned.left_out:,} validation rows without a needed label were left out.")
    return words


def constraint_words(
    comparison: ComparisonSpec, frame: pl.DataFrame, measured: Sequence[Measured]
) -> list[str]:
    """Return sentences about each constraint's value on the test rows, per order."""
    if comparison.utility is None or not comparison.utility.constraints:
        return []
    measures = OrderMeasures(comparison.utility, comparison.schema.kinds(), frame)
    words = [
        f"On the test rows, {constraint.words}:" for constraint in comparison.utility.constraints
    ]
    for order in measured:
        if order.name in (BLENDED, PLAIN):
            figures = measures.of(-order.rank.astype(np.float64))
            pairs = zip(figures.reached, measures.excess(figures), strict=True)
            for i, (value, excess) in enumerate(pairs):
                words[i] += f" {order.name} {value:.3f} ({'missed' if excess > 0.0 else 'kept'}),"
    return [f"{sentence[:-1]}." for sentence in words]


def _compared(comparison: ComparisonSpec) -> list[str]:
    if comparison.utility is not None:
        return ["utility"]
    return [f"ndcg.{task}" for task in comparison.schema.tasks]


def _first_places(comparison: ComparisonSpec, blend: Measured, lists: Lists) -> str:
    parts: list[str] = []
    for task, kind in comparison.schema.kinds().items():
        low, high = blend.intervals[f"total.{task}"]
        total = blend.values[f"total.{task}"]
        what = f"{task}" if kind == "binary" else f"{task} in all"
        noise = f" (95 % {low:.2f} to {high:.2f})" if lists.count > 1 else ""
        parts.append(f"{total:.2f} {what}{noise}")
    users = blend.groups[f"total.{next(iter(comparison.schema.tasks))}"].counted
    where = (
        f"The first {comparison.k} rows of {users:,} list{'s'[: users != 1]} by {comparison.user}"
    )
    held = "hold on average" if users != 1 else "hold"
    return f"{where} {held} {', '.join(parts)}."


def _against(blend: Measured, other: Measured | None, metric: str, k: int) -> list[str]:
    """Return the difference to another order in one metric, if it exceeds the noise."""
    if other is None or metric not in blend.groups or not blend.groups[metric].counted:
        return []
    mine, theirs = blend.groups[metric], other.groups[metric]
    low, high = bootstrap_difference(mine, theirs)
    gap = mine.mean - theirs.mean
    name, _, task = metric.partition(".")
    what = "Utility" if name == "utility" else f"NDCG@{k} of {task}"
    given = f"{what} {mine.mean:.4f} against {theirs.mean:.4f} of {_called(other.name)}"
    size = f"{gap:+.4f}, 95 % {low:+.4f} to {high:+.4f}".replace("-", "\N{MINUS SIGN}")
    if low <= 0.0 <= high:
        return [f"{given}: no difference beyond the noise ({size})."]
    return [f"{given}: {'better' if gap > 0 else 'worse'} ({size})."]


def _called(name: str) -> str:
    called = {
        PLAIN: "the plain sum",
        BEFORE_DIVERSITY: "the blend before diversity",
        SHUFFLED: "a shuffled order",
    }
    return called.get(name, name)


def _types(comparison: ComparisonSpec, by_name: Mapping[str, Measured]) -> list[str]:
    """Return the shares of content types in the first positions, compared with the plain sum."""
    blend, plain = by_name[BLENDED], by_name.get(PLAIN)
    if not blend.shares:
        return []
    parts = [
        f"{kind} {share:.0%}" + (f" (plain sum {plain.shares.get(kind, 0.0):.0%})" if plain else "")
        for kind, share in list(blend.shares.items())[:5]
    ]
    return [f"Of the first {comparison.k} places: {', '.join(parts)}.".replace("%", " %")]


def _diversity(counts: Counts) -> str:
    words = f"Diversity changed the lists of {counts.changed:,} of {counts.groups:,}"
    if counts.unfilled:
        words += (
            f"; {counts.unfilled:,} had too few other rows for their caps, and {counts.over_cap:,}"
            " places were filled beyond a cap"
        )
    return f"{words}."
