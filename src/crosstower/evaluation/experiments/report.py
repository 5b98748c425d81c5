"""The report of an experiment: its results as data. No torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from crosstower.evaluation.experiments.interleaving import Preference
from crosstower.evaluation.experiments.lifts import Lift
from crosstower.evaluation.experiments.sample_ratio import SampleRatio
from crosstower.evaluation.reports.notebook import html_table
from crosstower.values.json_values import json_values


@dataclass(frozen=True)
class ArmComparison:
    """Lift of an arm over the control in one metric, for all users or one segment.

    `reduction` is the share of the variance that the time before the start explains; `segment` is
    a column of the query and its value; `guardrail` is the largest tolerable loss.
    """

    metric: str
    arm: str
    lift: Lift
    lower_is_better: bool = False
    guardrail: float | None = None
    reduction: float = 0.0
    segment: tuple[str, str] | None = None

    @property
    def gain(self) -> tuple[float, float]:
        """The ends of the interval, with a gain above 0."""
        low, high = self.lift.low, self.lift.high
        return (-high, -low) if self.lower_is_better else (low, high)

    @property
    def outcome(self) -> str:
        """'better', 'worse', 'no difference yet' or 'too few users'."""
        if not self.lift.known:
            return "too few users"
        low, high = self.gain
        return "better" if low > 0.0 else "worse" if high < 0.0 else "no difference yet"


@dataclass(frozen=True)
class InterleavedArm:
    """Preference of the users of an interleaved arm for `second` over `first`."""

    arm: str
    first: str
    second: str
    preference: Preference


@dataclass(frozen=True)
class SampleSize:
    """Users of control and arm together: the current number, and that needed by the primary metric.

    `needed` is the number at which the expected lift is detected with a probability of 80 %;
    `days` is the time until then at the pace so far, NaN if it is unknown.
    """

    arm: str
    users: int
    needed: int
    days: float


@dataclass(frozen=True)
class ExperimentReport:
    """Results of an experiment up to a time.

    Args:
        name: of the experiment.
        start: of the experiment.
        until: time of the last event.
        control: arm that others are compared with.
        primary: metric that decides the verdict; None if all arms are interleaved.
        level: probability that all intervals of a metric cover the truth.
        users: number of users by arm.
        ratio: test of the arms' sizes; None with a single arm.
        lifts: comparisons of all users.
        segments: comparisons in the primary metric by segment.
        interleaved: preferences of interleaved arms.
        sizes: needed numbers of users.
        daily: lift of the primary metric at the end of each day, by arm.
        verdicts: findings as sentences, most important first.
        notes: omitted users and events.

    """

    name: str
    start: datetime
    until: datetime
    control: str
    primary: str | None
    level: float
    users: dict[str, int]
    ratio: SampleRatio | None
    lifts: tuple[ArmComparison, ...]
    segments: tuple[ArmComparison, ...]
    interleaved: tuple[InterleavedArm, ...]
    sizes: tuple[SampleSize, ...]
    daily: dict[str, list[tuple[datetime, Lift]]]
    verdicts: tuple[str, ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON; None means unknown."""
        found = asdict(self)
        for name in ("lifts", "segments"):
            for one, comparison in zip(found[name], getattr(self, name), strict=True):
                one["outcome"] = comparison.outcome
        if self.ratio is not None:
            found["ratio"]["mismatch"] = self.ratio.mismatch
        return json_values(found)

    def __repr__(self) -> str:
        """Return one line: the experiment, its arms with their users, and its last event."""
        arms = ", ".join(f"{arm} {users:,}" for arm, users in self.users.items())
        return f"ExperimentReport('{self.name}' until {self.until:%Y-%m-%d %H:%M}: users {arms})"

    def _repr_html_(self) -> str:
        """Return the verdicts and the tables of the report, for notebooks."""
        from crosstower.evaluation.experiments import report_tables  # noqa: PLC0415 - reads it

        title = f"{self.name}: {self.start:%Y-%m-%d} to {self.until:%Y-%m-%d %H:%M}"
        notes = (*self.verdicts, *(f"Note: {note}" for note in self.notes))
        tables = [
            html_table(one.title, one.names, one.rows) for one in report_tables.tables_of(self)
        ]
        return "".join([html_table(title, [], [], notes=notes), *tables])
