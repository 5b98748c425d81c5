"""Whether the counters of a recipe have their events and the times of rows."""

from __future__ import annotations

from crosstower.errors import RecipeError
from crosstower.recipe.data import Data
from crosstower.recipe.schema import Schema
from crosstower.recipe.split import order_of


def check_counters(schema: Schema, data: Data, *, retrieves: bool) -> None:
    """Refuse counters that no model can read, and event logs that no counter reads.

    Raises:
        ValueError: names the column, or the key of the recipe.

    """
    counting = _counting(schema)
    if not counting:
        given = [key for key in ("events", "time") if getattr(data, key)]
        if given:
            raise ValueError(
                f"data.{given[0]}: not used, as no column counts events; add a column of kind"
                f" counter, or remove data.{given[0]}"
            )
    elif retrieves:
        raise ValueError(
            f"schema.columns.{counting[0]}: counts change with time, but a retriever computes item"
            " vectors once; use counters in the ranking recipe"
        )


def require_events(schema: Schema, data: Data) -> str:
    """Return the column with the time of each row, at which events are counted.

    Raises:
        RecipeError: the recipe names no log of events, or no such column.

    """
    name = _counting(schema)[0]
    if not data.events:
        raise RecipeError(
            f"data.events: missing, but column '{name}' counts events; name a log of events, or set"
            " events: rows to count the rows and their labels"
        )
    time = data.time or order_of(data.split)
    if time is None:
        raise RecipeError(
            f"data.time: missing, but column '{name}' counts the events before each row; name the"
            " time column of the rows"
        )
    return time


def time_columns(data: Data) -> list[str]:
    """Return the time columns of rows and of event logs that a recipe names."""
    of_logs = [log.time for log in data.events if not log.rows]
    return [*([data.time] if data.time is not None else []), *of_logs]


def _counting(schema: Schema) -> list[str]:
    return [name for name, column in schema.columns.items() if column.counts()]
