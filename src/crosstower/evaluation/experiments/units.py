"""From events to one row per user: arm, first exposure, and metrics. No torch.

Shape: U users of an experiment. A user belongs to the comparison from the first exposure on, such
as an impression, so that users who saw nothing of an arm do not dilute it. Users who were seen in
several arms, such as after a change of shares, are omitted and counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from crosstower.errors import DataError, did_you_mean
from crosstower.evaluation.experiments.specification import Experiment, ExperimentMetric
from crosstower.values.columns import text_of

EXPERIMENT, ARM, TEAM = "attributes.experiment", "attributes.arm", "attributes.team"
"""Columns of exported events: experiment, arm, and the interleaved ranking of an item."""

UNIT, FIRST = "unit", "first"


@dataclass(frozen=True)
class Units:
    """Users of an experiment.

    Args:
        frame: `[U]` rows with `unit`, `arm`, `first` (time of the first exposure), the segment
            columns that events have, and per metric `METRIC:top`, with covariates also
            `METRIC:before`, from the days before the start; of ratios also their denominators
            `..._per`.
        several_arms: number of users who were seen in several arms and are omitted.
        without_value: number of events without a value, by metric; they count as 0.

    """

    frame: pl.DataFrame
    several_arms: int
    without_value: dict[str, int]


def events_of(events: pl.DataFrame, experiment: Experiment, until: datetime | None) -> pl.DataFrame:
    """Return the events before a time, with the user as `unit`.

    Args:
        events: as `crosstower events` exports them.
        experiment: decides who is a user.
        until: end of the comparison; None for the end of the experiment.

    Raises:
        DataError: a column is missing, a value is not a finite number, or no exposure belongs to
            the experiment.

    """
    events = with_segments(_with_tags(events), experiment)
    for name in _needed(experiment):
        if name not in events.columns:
            raise DataError(_missing(name, events))
    _check_values(events, experiment)
    unit = text_of(events["user"])
    if experiment.anonymous == "request":
        requests = "request " + text_of(events["request_id"])
        unit = pl.select(pl.coalesce("user " + unit, requests)).to_series()
    found = events.with_columns(unit.alias(UNIT), _utc(events["time"])).drop_nulls(UNIT)
    ends = [end for end in (until, experiment.end) if end is not None]
    if ends:
        found = found.filter(pl.col("time") < min(ends))
    mine = found.filter(pl.col(EXPERIMENT) == experiment.name)
    if mine.is_empty():
        raise DataError(
            f"experiment '{experiment.name}': no event of a user belongs to it; start the server"
            " with --experiments, and check its start and the time zone of the events"
        )
    if mine.filter(pl.col("type") == experiment.exposure).is_empty():
        raise DataError(
            f"experiment '{experiment.name}': no event of type '{experiment.exposure}', so no user"
            " was exposed; start the server with --log, send such events, or set the key exposure"
        )
    return found


def _with_tags(events: pl.DataFrame) -> pl.DataFrame:
    """Read tags from the JSON where an odd value of one event has cost them their text column."""
    if events.schema.get("attributes") != pl.String():
        return events
    for name in (EXPERIMENT, ARM, TEAM):
        if events.schema.get(name) != pl.String():
            texts = _from_json(events, "attributes", name)
            if texts.null_count() < len(texts):
                events = events.with_columns(texts)
    return events


def with_segments(events: pl.DataFrame, experiment: Experiment) -> pl.DataFrame:
    """Read segments from the JSON where an odd value of one event has cost them their column."""
    if events.schema.get("query") != pl.String():
        return events
    lost = [name for name in segment_columns(experiment).values() if name not in events.columns]
    found = [_from_json(events, "query", name) for name in lost]
    return events.with_columns([texts for texts in found if texts.null_count() < len(texts)])


def _from_json(events: pl.DataFrame, column: str, name: str) -> pl.Series:
    """Return the values of a key as text; `name` is `COLUMN.KEY`."""
    key = json.dumps(name.removeprefix(f"{column}."), ensure_ascii=False)
    return events[column].str.json_path_match(f"$[{key}]").alias(name)


def units_of(events: pl.DataFrame, experiment: Experiment) -> Units:
    """Return the users of an experiment with their metrics.

    Args:
        events: as `events_of` returns them.
        experiment: arms, exposure and metrics.

    """
    mine = events.filter(
        pl.col(EXPERIMENT) == experiment.name,
        pl.col("type") == experiment.exposure,
        pl.col("time") >= experiment.start,
    ).sort("time", maintain_order=True)
    columns = [name for name in segment_columns(experiment).values() if name in events.columns]
    segments = [pl.col(name).drop_nulls().first() for name in columns]
    exposed = mine.group_by(UNIT, maintain_order=True).agg(
        pl.col(ARM).n_unique().alias("arms"),
        pl.col(ARM).first().alias("arm"),
        pl.col("time").first().alias(FIRST),
        *segments,
    )
    frame = exposed.filter(pl.col("arms") == 1).drop("arms").sort(UNIT)
    without = dict[str, int]()
    for name, metric in experiment.metrics.items():
        frame = frame.join(
            _outcomes(events, frame, name, metric), on=UNIT, how="left", maintain_order="left"
        )
        if experiment.covariate_days:
            before = _before(events, experiment, name, metric)
            frame = frame.join(before, on=UNIT, how="left", maintain_order="left")
        if metric.of == "value":
            values = events.filter(pl.col("type") == metric.event)["value"]
            without[name] = values.null_count()
    counted = pl.col("^.*:(top|before)(_per)?$").fill_null(0.0)
    return Units(frame.with_columns(counted), exposed.height - frame.height, without)


def _outcomes(
    events: pl.DataFrame, units: pl.DataFrame, name: str, metric: ExperimentMetric
) -> pl.DataFrame:
    """Return numerator and denominator of a metric per user, from the first exposure on."""
    wanted = [metric.event, *([metric.per] if metric.per else [])]
    after = events.filter(pl.col("type").is_in(wanted)).join(
        units.select(UNIT, FIRST), on=UNIT, how="inner"
    )
    return _sums(after.filter(pl.col("time") >= pl.col(FIRST)), metric, f"{name}:top")


def _before(
    events: pl.DataFrame, experiment: Experiment, name: str, metric: ExperimentMetric
) -> pl.DataFrame:
    """Return the same sums over the days before the start."""
    early = experiment.start - timedelta(days=experiment.covariate_days)
    past = events.filter(pl.col("time").is_between(early, experiment.start, closed="left"))
    return _sums(past, metric, f"{name}:before")


def _sums(events: pl.DataFrame, metric: ExperimentMetric, name: str) -> pl.DataFrame:
    mine = pl.col("type") == metric.event
    total = {
        "count": mine.sum(),
        "any": mine.any(),
        "value": pl.col("value").filter(mine).sort().sum(),  # the same in any order of the rows
    }[metric.of]
    sums = [total.cast(pl.Float64).alias(name)]
    if metric.per is not None:
        sums.append((pl.col("type") == metric.per).sum().cast(pl.Float64).alias(f"{name}_per"))
    return events.group_by(UNIT).agg(sums)


def _needed(experiment: Experiment) -> list[str]:
    names = ["type", "time", "user", EXPERIMENT, ARM]
    if _valued_types(experiment):
        names.append("value")
    if experiment.anonymous == "request":
        names.append("request_id")
    return names


def _valued_types(experiment: Experiment) -> list[str]:
    """Return the types of events whose values a metric sums."""
    return [metric.event for metric in experiment.metrics.values() if metric.of == "value"]


def _check_values(events: pl.DataFrame, experiment: Experiment) -> None:
    types = _valued_types(experiment)
    if not types:
        return
    values = events.filter(pl.col("type").is_in(types))["value"]
    if not (values.dtype.is_numeric() or values.dtype == pl.Null):
        raise DataError(
            f"events: column 'value' must have numbers, got {values.dtype}; export the events with:"
            " crosstower events"
        )
    if bad := (~values.cast(pl.Float64).is_finite()).sum():
        raise DataError(
            "events: column 'value': expected finite numbers, or null for none, got NaN or an"
            f" infinite number in {bad:,} of {len(values):,} events ({', '.join(types)}); correct"
            " them"
        )


def _utc(times: pl.Series) -> pl.Series:
    if not isinstance(times.dtype, pl.Datetime):
        raise DataError(
            f"events: column 'time' must have dates with a time, got {times.dtype}; export the"
            " events with: crosstower events"
        )
    if times.dtype.time_zone is None:
        return times.dt.replace_time_zone("UTC")
    return times.dt.convert_time_zone("UTC")


def segment_columns(experiment: Experiment) -> dict[str, str]:
    """Return the column of events that holds each segment."""
    return {name: f"query.{name}" for name in experiment.segments}


def _missing(name: str, events: pl.DataFrame) -> str:
    if name in (EXPERIMENT, ARM):
        return (
            f"events: no column '{name}', so no event belongs to an experiment; start the server"
            " with --experiments, and export its events with: crosstower events"
        )
    hint = did_you_mean(name, events.columns)
    return f"events: no column '{name}'{hint}; columns: {', '.join(events.columns)}"
