"""Logs of the events that counters of a retrained ranker count."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from crosstower.data.counters.counted_source import counted_source_of
from crosstower.recipe.events import EventLog
from crosstower.recipe.recipe import Recipe
from crosstower.serving.retraining.stage import Stage
from crosstower.serving.retraining.training_rows import TYPE

BASE, EVENTS = "base_rows.parquet", "events.parquet"


def event_logs(
    stage: Stage, folder: Path, base: pl.DataFrame, events: pl.DataFrame
) -> tuple[EventLog, ...]:
    """Write the events of a server next to a version, and return all logs; none without counters.

    Args:
        stage: that ranks.
        folder: of the version.
        base: its base rows, which are a log themselves if the recipe says so.
        events: after the base rows, with the keys of counters.

    """
    if not stage.counts:
        return ()
    logs = list[EventLog]()
    for log in stage.recipe.data.events:
        if log.rows and log.path is None:
            base.write_parquet(folder / BASE)
            logs.append(EventLog(path=str((folder / BASE).absolute()), rows=True))
        else:
            logs.append(log)
    events.write_parquet(folder / EVENTS)
    return (*logs, EventLog(path=str((folder / EVENTS).absolute()), type=TYPE))


def with_counts(rows: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Return rows with the counts that a recipe reads, at the times of the rows.

    Raises:
        DataError: a log of the recipe cannot be read.

    """
    counts = [count.column for count in recipe.schema_.counts()]
    if not counts:
        return rows
    source = counted_source_of(recipe, rows)
    chunks = source.chunks([*rows.columns, *counts])
    return pl.concat([chunk.frame for chunk in chunks])
