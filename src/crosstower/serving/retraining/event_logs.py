"""Logs of the events that counters and histories of a retrained ranker read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from crosstower.data.counters.counted_source import counted_source_of
from crosstower.data.counters.event_log import event_clock
from crosstower.data.counters.log_columns import open_path
from crosstower.recipe.counter_checks import require_events
from crosstower.recipe.events import EventLog
from crosstower.recipe.recipe import Recipe
from crosstower.serving.retraining.stage import Stage
from crosstower.serving.retraining.training_rows import TYPE

BASE, EVENTS = "base_rows.parquet", "events.parquet"
_MICROSECOND = 1_000  # nanoseconds


def event_logs(
    stage: Stage, folder: Path, base: pl.DataFrame, events: pl.DataFrame
) -> tuple[EventLog, ...]:
    """Write the events of a server next to a version, and return all logs; none if it reads none.

    Args:
        stage: that ranks.
        folder: of the version.
        base: its base rows, which are a log themselves if the recipe says so.
        events: after `logs_end`, with the columns that the ranker needs.

    """
    if not stage.event_columns:
        return ()
    logs = list[EventLog]()
    for log in stage.recipe.data.events:
        if log.rows and log.path is None:
            base.write_parquet(folder / BASE)
            logs.append(EventLog(path=str((folder / BASE).absolute()), rows=True))
        else:
            logs.append(log)
    if events.is_empty():
        return tuple(logs)
    events.write_parquet(folder / EVENTS)
    return (*logs, EventLog(path=str((folder / EVENTS).absolute()), type=TYPE))


def logs_end(stage: Stage, base: pl.DataFrame, until: datetime) -> datetime | None:
    """Return the time of the last event of a recipe's own logs; None without events or use of them.

    A server counts its events after it, and so does a retraining.

    Args:
        stage: that ranks.
        base: its base rows.
        until: later events are in the future, and do not count.

    Raises:
        DataError: a log cannot be read.

    """
    recipe, ends = stage.recipe, list[Any]()
    for log in recipe.data.events if stage.event_columns else ():
        if log.path is None:
            ends.append(base.filter(pl.col(stage.time) < until)[stage.time].max())
            continue
        source = open_path(log.path, recipe.data.csv)
        column = require_events(recipe.schema_, recipe.data) if log.rows else log.time
        clock = event_clock(recipe, source, column)
        for chunk in source.chunks([column]):
            times = (clock.read(chunk.frame[column]) // _MICROSECOND).cast(pl.Datetime("us", "UTC"))
            ends.append(times.filter(times < until).max())
    return max((end for end in ends if end is not None), default=None)


def with_counts(rows: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Return rows with counts, histories and ages that a recipe reads, at the times of the rows.

    Raises:
        DataError: a log of the recipe cannot be read.

    """
    schema = recipe.schema_
    named = [name for one in schema.event_lists() for name in (one.column, one.ages)]
    named += [one.ages for one in schema.timed_lists()]
    lists = [name for name in named if name is not None and name not in rows.columns]
    added = [*(count.column for count in schema.counts()), *lists]
    if not added:
        return rows
    source = counted_source_of(recipe, rows)
    chunks = source.chunks([*rows.columns, *added])
    return pl.concat([chunk.frame for chunk in chunks])
