"""Analysis of an experiment: from events to its report. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from crosstower.evaluation.experiments.confidence_sequences import needed_error
from crosstower.evaluation.experiments.credit import preferences
from crosstower.evaluation.experiments.cuped import adjusted
from crosstower.evaluation.experiments.lifts import Lift, lift_of, means_of, per_user
from crosstower.evaluation.experiments.report import (
    ArmComparison,
    ExperimentReport,
    InterleavedArm,
    SampleSize,
)
from crosstower.evaluation.experiments.sample_ratio import SampleRatio, sample_ratio
from crosstower.evaluation.experiments.specification import Experiment
from crosstower.evaluation.experiments.units import (
    Units,
    events_of,
    segment_columns,
    units_of,
)
from crosstower.evaluation.experiments.verdicts import (
    guardrail_words,
    mismatch_words,
    preference_words,
    primary_words,
)
from crosstower.evaluation.metrics.registry import Floats
from crosstower.values.arrays import Indices

MOST_DAYS = 60
"""Largest number of looks in the daily series."""

MOST_SEGMENTS = 10
"""Largest number of values per segment column; the most frequent ones are reported."""

_DAY = timedelta(days=1)
_MANY = 0.01  # share of users in several arms that is worth a warning


def experiment_report(
    events: pl.DataFrame, experiment: Experiment, *, until: datetime | None = None
) -> ExperimentReport:
    """Return the report of an experiment.

    Args:
        events: as `crosstower events` exports them.
        experiment: arms, shares and metrics.
        until: end of the comparison, with a zone; None for the end of the experiment.

    Raises:
        DataError: a column is missing, a value is not a finite number, or no event belongs to the
            experiment.

    """
    found = events_of(events, experiment, until)
    units = units_of(found, experiment)
    users = {name: units.frame.filter(arm=name).height for name in experiment.shares}
    lifts = tuple(_lifts(units.frame, experiment))
    last: Any = found["time"].max()
    interleaved, credit_notes = preferences(found, units.frame, experiment)
    first: Any = units.frame["first"].min()
    days = math.nan if first is None else (last - first) / _DAY
    sizes = tuple(_sizes(experiment, lifts, days))
    ratio = _ratio(experiment, users)
    return ExperimentReport(
        name=experiment.name,
        start=experiment.start,
        until=last,
        control=experiment.control_arm,
        primary=experiment.primary_metric,
        level=experiment.level,
        users=users,
        ratio=ratio,
        lifts=lifts,
        segments=tuple(_segments(units.frame, experiment)),
        interleaved=interleaved,
        sizes=sizes,
        daily=_daily(found, experiment, last),
        verdicts=tuple(_verdicts(experiment, ratio, lifts, sizes, interleaved)),
        notes=(*_notes(experiment, units), *credit_notes),
    )


def _level(experiment: Experiment, parts: int = 1) -> float:
    """Return the level of one interval, so that all comparisons of a metric cover the truth.

    The probability of a miss is divided by their number (Bonferroni).
    """
    count = max(len(experiment.compared) - 1, 1) * parts
    return 1.0 - (1.0 - experiment.level) / count


def _ratio(experiment: Experiment, users: dict[str, int]) -> SampleRatio | None:
    if len(users) < 2:
        return None
    return sample_ratio(list(users.values()), list(experiment.shares.values()))


def _lifts(units: pl.DataFrame, experiment: Experiment) -> Iterator[ArmComparison]:
    for metric in experiment.metrics:
        yield from _compare(units, experiment, metric, _level(experiment))


def _compare(
    units: pl.DataFrame,
    experiment: Experiment,
    name: str,
    level: float,
    segment: tuple[str, str] | None = None,
) -> Iterator[ArmComparison]:
    """Yield the comparison of each arm with the control in one metric."""
    arms, metric = experiment.compared, experiment.metrics[name]
    mine = units.filter(pl.col("arm").is_in(arms))
    places = mine["arm"].replace_strict(arms, range(len(arms))).to_numpy().astype(np.int64)
    top, values = mine[f"{name}:top"].to_numpy(), _values(mine, f"{name}:top", places)
    reduction = 0.0
    if experiment.covariate_days:
        before = _values(mine, f"{name}:before", np.zeros_like(places))
        values, reduction = _with_covariate(values, before, places)
    means = means_of(values, top != 0.0, places, len(arms))
    for arm, mean in zip(arms[1:], means[1:], strict=True):
        yield ArmComparison(
            metric=name,
            arm=arm,
            lift=lift_of(means[0], mean, metric.expected_lift, level=level),
            lower_is_better=metric.lower_is_better,
            guardrail=metric.guardrail,
            reduction=reduction,
            segment=segment,
        )


def _values(units: pl.DataFrame, name: str, places: Indices) -> Floats:
    """Return values `[U]` of a metric, divided by `NAME_per` if it is a ratio."""
    bottom = units[f"{name}_per"].to_numpy() if f"{name}_per" in units.columns else None
    return per_user(units[name].to_numpy(), bottom, places)


def _with_covariate(values: Floats, before: Floats, places: Indices) -> tuple[Floats, float]:
    known = ~np.isnan(values)
    if not known.any():
        return values, 0.0
    found = adjusted(values[known], np.nan_to_num(before[known]), places[known])
    filled = np.full(len(values), np.nan)
    filled[known] = found.values
    return filled, found.reduction


def _segments(units: pl.DataFrame, experiment: Experiment) -> Iterator[ArmComparison]:
    """Yield the comparisons in the primary metric, by value of each segment column."""
    primary = experiment.primary_metric
    if primary is None:
        return
    for name, column in segment_columns(experiment).items():
        if column not in units.columns:  # as a note says
            continue
        texts = units.with_columns(pl.col(column).cast(pl.String).fill_null("missing"))
        sizes = texts[column].value_counts(sort=True).head(MOST_SEGMENTS)
        for value in sizes[column]:
            part = texts.filter(pl.col(column) == value)
            level = _level(experiment, sizes.height)
            yield from _compare(part, experiment, primary, level, (name, value))


def _sizes(
    experiment: Experiment, lifts: tuple[ArmComparison, ...], days: float
) -> Iterator[SampleSize]:
    for one in lifts:
        if one.metric != experiment.primary_metric or not one.lift.known:
            continue
        expected = experiment.metrics[one.metric].expected_lift
        error = needed_error(expected, expected, level=_level(experiment))
        users = one.lift.control.users + one.lift.arm.users
        needed = math.ceil(users * (one.lift.standard_error / error) ** 2)
        yield SampleSize(one.arm, users, needed, days * max(needed - users, 0) / users)


def _daily(
    events: pl.DataFrame, experiment: Experiment, last: datetime
) -> dict[str, list[tuple[datetime, Lift]]]:
    """Return the lift of the primary metric at the end of each day, by arm."""
    primary = experiment.primary_metric
    if primary is None:
        return {}
    metrics = {primary: experiment.metrics[primary]}
    alone = experiment.model_copy(update={"metrics": metrics, "segments": ()})
    types = [experiment.exposure, metrics[primary].event, metrics[primary].per]
    events = events.filter(pl.col("type").is_in([kind for kind in types if kind is not None]))
    days = math.ceil((last - experiment.start) / _DAY)
    every = math.ceil(days / MOST_DAYS)
    found: dict[str, list[tuple[datetime, Lift]]] = {arm: [] for arm in experiment.compared[1:]}
    for day in range(every, days, every):
        end = experiment.start + day * _DAY
        units = units_of(events.filter(pl.col("time") < end), alone)
        for one in _compare(units.frame, alone, primary, _level(experiment)):
            found[one.arm].append((end, one.lift))
    return found


def _verdicts(
    experiment: Experiment,
    ratio: SampleRatio | None,
    lifts: tuple[ArmComparison, ...],
    sizes: tuple[SampleSize, ...],
    interleaved: tuple[InterleavedArm, ...],
) -> Iterator[str]:
    """Yield the findings, most important first."""
    if ratio is not None and ratio.mismatch:
        yield mismatch_words(list(experiment.shares), ratio)
    needed = {size.arm: size for size in sizes}
    level, control = _level(experiment), experiment.control_arm
    for one in lifts:
        if one.metric == experiment.primary_metric:
            yield primary_words(one, control, level, needed.get(one.arm))
    for one in lifts:
        if one.guardrail is not None:
            yield guardrail_words(one, level)
    for one in interleaved:
        yield preference_words(one, experiment.level)


def _notes(experiment: Experiment, units: Units) -> Iterator[str]:
    """Yield notes about omitted users and missing values."""
    if units.several_arms:
        share = units.several_arms / (units.several_arms + max(units.frame.height, 1))
        many = " Was a share changed? Then set start to that time." if share > _MANY else ""
        yield (
            f"{units.several_arms:,} users ({share:.1%}) were seen in several arms and are"
            f" omitted.{many}"
        )
    known = pl.col("arm").is_in(list(experiment.shares))
    if unknown := units.frame.filter(~known).height:
        yield f"{unknown:,} users have an arm without a share in the file and are omitted."
    for name, count in units.without_value.items():
        if count:
            yield f"{name}: events without a value count as 0; number of such events: {count:,}."
    for name, column in segment_columns(experiment).items():
        if column not in units.frame.columns:
            yield (
                f"No event has the segment '{name}', so it is not reported: give it in the query of"
                " requests or events; if it is a column of the bundle's query, it may also be put"
                " for users, for a report from the state of the server."
            )
    if len(experiment.metrics) > 1:
        yield (
            f"Only {experiment.primary_metric} decides; with several metrics, some differ by"
            " chance."
        )
