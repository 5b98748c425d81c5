"""Specification of an experiment: arms, shares, metrics and times. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from crosstower.errors import did_you_mean
from crosstower.recipe.frozen import FrozenModel

HOLDOUT = "holdout"
"""Name of the arm of users that are kept out of the experiment for comparison."""

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
Share = Annotated[float, Field(ge=0, le=1)]
_WHOLE = 1.0 + 1e-9


class Arm(FrozenModel):
    """One treatment: a bundle, and fields of a request; or two arms to interleave."""

    share: Share = Field(description="Share of the users, from 0 to 1.")
    request: dict[str, Any] = Field(
        default={},
        description="Fields that the arm sets in each request, such as blend; empty for the"
        " bundle's own answer.",
    )
    interleave: tuple[Name, Name] | None = Field(
        default=None,
        description="Names of two other arms whose lists are combined by team-draft interleaving.",
    )
    bundle: str | None = Field(
        default=None,
        min_length=1,
        max_length=4_096,
        description="Folder of the bundle that answers the arm's requests, relative to the file"
        " (default: the bundle that is served).",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        for key in ("request", "bundle"):
            if self.interleave is not None and getattr(self, key):
                raise ValueError(
                    f"interleave: such an arm sets no {key}; set it in the arms that it names"
                )
        return self


class ExperimentMetric(FrozenModel):
    """A number per user that the report compares between arms."""

    event: str = Field(min_length=1, description="Type of the events that it counts.")
    of: Literal["count", "value", "any"] = Field(
        default="count",
        description="count: number of events per user; value: sum of their values; any: 1 for"
        " users with at least one event, else 0.",
    )
    per: str | None = Field(
        default=None,
        min_length=1,
        description="Type of the events to divide by, such as impression: the sum over all users is"
        " divided by their number of such events.",
    )
    expected_lift: float = Field(
        default=0.05,
        gt=0,
        description="Size of the relative effect for which the intervals are narrowest; decide it"
        " before the start.",
    )
    lower_is_better: bool = Field(default=False, description="Whether a decrease is a gain.")
    guardrail: float | None = Field(
        default=None,
        gt=0,
        description="Largest tolerable relative loss, such as 0.01; makes the metric a guardrail.",
    )

    @model_validator(mode="after")
    def _ratio_of_sums(self) -> Self:
        if self.per is not None and self.of == "any":
            raise ValueError("per: not allowed with of: any; use of: count or of: value")
        return self


class Experiment(FrozenModel):
    """Arms, shares, times and metrics of one experiment."""

    name: Name = Field(description="Name in responses, events and reports.")
    salt: str | None = Field(
        default=None,
        min_length=1,
        description="Text that the assignment is hashed with (default: the name). A new salt"
        " reassigns all users.",
    )
    start: datetime = Field(description="Start, UTC if no zone is given.")
    end: datetime | None = Field(default=None, description="End (default: none).")
    anonymous: Literal["exclude", "request"] = Field(
        default="exclude",
        description="Requests without a user: exclude them, or assign each by its request id.",
    )
    holdout: Share = Field(
        default=0.0, description="Share of users that get the bundle's own answer, for comparison."
    )
    arms: dict[Name, Arm] = Field(min_length=2, description="Arms by name.")
    control: str | None = Field(
        default=None, description="Arm that others are compared with (default: the first)."
    )
    metrics: dict[Name, ExperimentMetric] = Field(
        default={}, description="Metrics by name; not needed if all users get interleaved lists."
    )
    primary: str | None = Field(
        default=None, description="Metric that decides the verdict (default: the first)."
    )
    exposure: str = Field(
        default="impression",
        min_length=1,
        description="Type of the event that makes a user part of the comparison.",
    )
    click: str = Field(
        default="click", min_length=1, description="Type of the events that interleaving credits."
    )
    covariate_days: int = Field(
        default=0,
        ge=0,
        le=365,
        description="Days before the start whose events reduce the variance (CUPED); 0 for none.",
    )
    segments: tuple[str, ...] = Field(
        default=(),
        max_length=10,
        description="Columns of the query, or else attributes of users, such as device, by which"
        " results are reported.",
    )
    level: float = Field(
        default=0.95, gt=0.5, lt=1, description="Probability that all intervals cover the truth."
    )

    @field_validator("start", "end", mode="before")
    @classmethod
    def _written(cls, given: Any) -> Any:
        if isinstance(given, date) and not isinstance(given, datetime):
            return datetime(given.year, given.month, given.day, tzinfo=UTC)
        if isinstance(given, str | datetime) or given is None:
            return given
        raise ValueError(f"expected a date or time such as 2026-01-31, got {given!r}")

    @field_validator("start", "end")
    @classmethod
    def _zoned(cls, given: datetime | None) -> datetime | None:
        if given is None:
            return None
        zoned = given if given.tzinfo is not None else given.replace(tzinfo=UTC)
        return zoned.astimezone(UTC)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end: expected a time after {self.start}, got {self.end}")
        _known("control", self.control_arm, self.arms)
        if len(self.compared) > 1 and not self.metrics:
            raise ValueError("metrics: missing; declare one, such as clicks: {event: click}")
        if self.primary is not None:
            _known("primary", self.primary, self.metrics)
        if HOLDOUT in self.arms:
            raise ValueError(f"arms: '{HOLDOUT}' is reserved; set the key {HOLDOUT} instead")
        self._check_interleaved()
        total = self.holdout + math.fsum(arm.share for arm in self.arms.values())
        if not 0.0 < total <= _WHOLE:
            raise ValueError(
                "arms: expected shares and holdout that sum to at most 1 and above 0, got"
                f" {total:g}"
            )
        return self

    def _check_interleaved(self) -> None:
        for name, arm in self.arms.items():
            for part in arm.interleave or ():
                _known(f"arms.{name}.interleave", part, self.arms)
                if self.arms[part].interleave is not None:
                    raise ValueError(
                        f"arms.{name}.interleave: '{part}' is interleaved itself; name two arms"
                        " with a request"
                    )
            if arm.interleave is not None and len(set(arm.interleave)) == 1:
                raise ValueError(
                    f"arms.{name}.interleave: expected two different arms, got"
                    f" '{arm.interleave[0]}' twice"
                )
            if name == self.control_arm and arm.interleave is not None:
                raise ValueError(f"control: '{name}' is interleaved; choose an arm with a request")

    @property
    def control_arm(self) -> str:
        """Name of the arm that others are compared with."""
        return self.control or next(iter(self.arms))

    @property
    def primary_metric(self) -> str | None:
        """Name of the metric that decides the verdict; None without metrics."""
        return self.primary or next(iter(self.metrics), None)

    @property
    def compared(self) -> list[str]:
        """Names of the arms whose metrics are compared, the control first."""
        arms = [n for n in self.shares if n == HOLDOUT or self.arms[n].interleave is None]
        return sorted(arms, key=lambda name: name != self.control_arm)

    @property
    def shares(self) -> dict[str, float]:
        """Share by arm, with the holdout last if there is one; arms without users are left out."""
        shares = {name: arm.share for name, arm in self.arms.items() if arm.share > 0.0}
        return shares | ({HOLDOUT: self.holdout} if self.holdout > 0.0 else {})

    @property
    def event_types(self) -> list[str]:
        """Types of the events that the report reads, sorted."""
        counted = {kind for metric in self.metrics.values() for kind in (metric.event, metric.per)}
        interleaves = any(arm.interleave is not None for arm in self.arms.values())
        clicks = {self.click} if interleaves else set[str]()
        return sorted({self.exposure, *clicks, *(kind for kind in counted if kind is not None)})

    @property
    def since(self) -> datetime:
        """Time of the first event that the report reads: the start, less the covariates' days."""
        return self.start - timedelta(days=self.covariate_days)

    def active(self, time: datetime) -> bool:
        """Return whether the experiment runs at a time."""
        return self.start <= time and (self.end is None or time < self.end)


def _known(key: str, name: str, names: Mapping[str, object]) -> None:
    allowed: Sequence[str] = list(names)
    if name not in names:
        hint = did_you_mean(name, list(allowed))
        raise ValueError(f"{key}: no '{name}'{hint}; allowed: {', '.join(allowed)}")
