"""Whether the times of histories can be known."""

from __future__ import annotations

from crosstower.recipe.data import Data
from crosstower.recipe.kinds.sequence import Sequence
from crosstower.recipe.retrieval import Retrieval
from crosstower.recipe.schema import Schema
from crosstower.recipe.split import order_of


def check_times(schema: Schema, data: Data, retrieval: Retrieval | None) -> None:
    """Reject sequences that read times which nothing gives.

    Raises:
        ValueError: names the column and the remedy.

    """
    for name, column in schema.columns.items():
        if isinstance(column, Sequence) and column.times:
            where = f"schema.columns.{name}.times"
            if retrieval is None:
                _check_ranking(where, column, data)
            else:
                _check_retrieval(where, name, column, data, retrieval)


def timed_history(schema: Schema, column: str | None) -> bool:
    """Return whether a history reads the times of its events."""
    found = schema.columns.get(column or "")
    return isinstance(found, Sequence) and bool(found.times)


def _check_retrieval(
    where: str, name: str, column: Sequence, data: Data, retrieval: Retrieval
) -> None:
    if name != retrieval.history.column:
        raise ValueError(
            f"{where}: in retrieval, only the history of the user has times; set retrieval.history:"
            f" {name}, or remove times"
        )
    if column.times is not True:
        raise ValueError(
            f"{where}: retrieval.history fills the column from the rows of the user, whose times"
            f" are known; set times: true instead of '{column.times}'"
        )
    if retrieval.time is None and order_of(data.split) is None:
        raise ValueError(
            f"{where}: the rows have no time; set retrieval.time to their time column, or remove"
            " times"
        )


def _check_ranking(where: str, column: Sequence, data: Data) -> None:
    if column.times is True and column.event is None:
        raise ValueError(
            f"{where}: the rows have the history as a list; name the list column of the times of"
            " its events, as in times: watched_at"
        )
    if data.time is None and order_of(data.split) is None:
        raise ValueError(
            f"{where}: the rows have no time; set data.time to their time column, or remove times"
        )
