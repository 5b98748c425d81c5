"""Whether counters and histories of events have their events and the times of rows."""

from __future__ import annotations

from crosstower.errors import RecipeError
from crosstower.recipe.data import Data
from crosstower.recipe.schema import Schema
from crosstower.recipe.split import order_of


def check_counters(schema: Schema, data: Data, *, retrieves: bool) -> None:
    """Reject columns of events that no model can read, and event logs that no column reads.

    Raises:
        ValueError: names the column, or the key of the recipe.

    """
    reading = _reading(schema)
    if not reading:
        unread = ("events",) if schema.timed_lists() else ("events", "time")
        read = any(data.time in column.row_times(n) for n, column in schema.columns.items())
        given = [key for key in unread if getattr(data, key) and not (key == "time" and read)]
        if given:
            raise ValueError(
                f"data.{given[0]}: not used, as no column reads events; add a column of kind"
                f" counter, set event of a sequence, or remove data.{given[0]}"
            )
    elif retrieves:
        raise ValueError(
            f"schema.columns.{reading[0]}: events change with time, but a retriever computes item"
            " vectors once; use counters in the ranking recipe, and retrieval.history for the"
            " user's earlier items"
        )


def require_time(schema: Schema, data: Data) -> str:
    """Return the column with the time of each row, to which counts and ages of events refer.

    Raises:
        RecipeError: the recipe names no such column, or no log of events that a column reads.

    """
    if _reading(schema):
        return require_events(schema, data)
    time = data.time or order_of(data.split)
    if time is None:
        raise RecipeError(
            "data.time: missing, but a history reads the times of its events before each row; name"
            " the time column of the rows"
        )
    return time


def require_events(schema: Schema, data: Data) -> str:
    """Return the column with the time of each row, before which events are read.

    Raises:
        RecipeError: the recipe names no log of events, or no such column.

    """
    name = _reading(schema)[0]
    if not data.events:
        raise RecipeError(
            f"data.events: missing, but column '{name}' reads events; name a log of events, or set"
            " events: rows to read the rows and their labels"
        )
    time = data.time or order_of(data.split)
    if time is None:
        raise RecipeError(
            f"data.time: missing, but column '{name}' reads the events before each row; name the"
            " time column of the rows"
        )
    return time


def time_columns(schema: Schema, data: Data) -> list[str]:
    """Return the time columns of rows, of event logs and of histories that a recipe names."""
    of_logs = [log.time for log in data.events if not log.rows]
    of_lists = [one.times for one in schema.timed_lists()]
    return [*([data.time] if data.time is not None else []), *of_logs, *of_lists]


def _reading(schema: Schema) -> list[str]:
    columns = schema.columns
    return [n for n, c in columns.items() if c.counts() or c.event_list(n, columns) is not None]
