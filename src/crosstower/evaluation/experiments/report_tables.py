"""Tables of an experiment's report, for the terminal and the page. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from crosstower.evaluation.experiments.report import ArmComparison, ExperimentReport
from crosstower.evaluation.reports.page import NOT_DEFINED, percent, signed_percent


@dataclass(frozen=True)
class Cells:
    """A table: its title, the names of its columns, and rows of text."""

    title: str
    names: list[str]
    rows: list[list[str]]


def tables_of(report: ExperimentReport) -> list[Cells]:
    """Return the tables of a report; those without rows are left out."""
    lifts = [
        [one.metric, one.arm, _mean(one, 0), _mean(one, 1), *_lift(one)] for one in report.lifts
    ]
    segments = [
        [" = ".join(one.segment or ()), one.arm, f"{one.lift.arm.users:,}", *_lift(one)]
        for one in report.segments
    ]
    sizes = [
        [one.arm, f"{one.users:,}", f"{one.needed:,}", _days(one.days)] for one in report.sizes
    ]
    reduced = {one.metric: percent(one.reduction) for one in report.lifts if one.reduction > 0.0}
    found = [
        Cells("Users by arm", ["Arm", "Users", "Share", "Declared"], list(_arms(report))),
        Cells(
            f"Lift over {report.control}",
            ["Metric", "Arm", "Control", "Value", "Lift", "Interval", "Result"],
            lifts,
        ),
        Cells(
            f"Lift in {report.primary} by segment",
            ["Segment", "Arm", "Users", "Lift", "Interval", "Result"],
            segments,
        ),
        Cells(
            f"Users of arm and {report.control}: now, and to detect the expected lift",
            ["Arm", "Now", "Needed", "Days left"],
            sizes,
        ),
        Cells(
            "Variance explained by the time before the start (CUPED)",
            ["Metric", "Share"],
            [list(pair) for pair in reduced.items()],
        ),
        Cells("Interleaved lists", ["Arm", "Ranking", "Users who click more on it"],
              list(_preferences(report))),
    ]  # fmt: skip
    return [table for table in found if table.rows]


def _arms(report: ExperimentReport) -> Iterable[list[str]]:
    total = max(sum(report.users.values()), 1)
    shares = report.ratio.shares if report.ratio is not None else (1.0,)
    for (name, users), share in zip(report.users.items(), shares, strict=True):
        yield [name, f"{users:,}", percent(users / total), percent(share)]


def _preferences(report: ExperimentReport) -> Iterable[list[str]]:
    for one in report.interleaved:
        losses, wins = one.preference.wins
        yield [one.arm, one.first, f"{losses:,}"]
        yield ["", one.second, f"{wins:,}"]
        yield ["", "both equally", f"{one.preference.ties:,}"]


def _mean(one: ArmComparison, arm: int) -> str:
    value = (one.lift.control, one.lift.arm)[arm].value
    return NOT_DEFINED if math.isnan(value) else f"{value:.4g}"


def _lift(one: ArmComparison) -> list[str]:
    lift = one.lift
    if not lift.known:
        return [NOT_DEFINED, NOT_DEFINED, one.outcome]
    ends = f"{signed_percent(lift.low, 1)} to {signed_percent(lift.high, 1)}"
    return [signed_percent(lift.value, 1), ends, one.outcome]


def _days(days: float) -> str:
    return NOT_DEFINED if math.isnan(days) else f"{math.ceil(days):,}"
