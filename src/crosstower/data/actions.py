"""The actions of a log, such as items that were shown, and the columns that follow from them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from crosstower.errors import DataError

_ROWS_AN_ACTION = 2


def item_columns_of(frame: pl.DataFrame, action: str, columns: Sequence[str]) -> list[str]:
    """Return those of `columns` that have one value an action, and not the same in all rows.

    >>> log = pl.DataFrame({"item": [1, 1, 2, 2], "genre": [*"aabb"], "user": [7, 8, 7, 8]})
    >>> item_columns_of(log, "item", ["genre", "user"])
    ['genre']

    Raises:
        DataError: a column would do, but fewer than two rows an action are too few to tell.

    """
    actions = frame[action].n_unique()
    found = [
        name
        for name in columns
        if name != action
        and frame.select(action, name).n_unique() == actions
        and frame.select(name).n_unique() > 1
    ]
    if found and frame.height < _ROWS_AN_ACTION * actions:
        raise DataError(
            f"column '{action}': {actions:,} actions in {frame.height:,} rows are too few rows an"
            " action to tell which columns follow from it; name them with --item-column (in"
            f" Python: item_columns), or '{action}' itself if there are none"
        )
    return found


def actions_of(frame: pl.DataFrame, action: str, item_columns: Sequence[str]) -> pl.DataFrame:
    """Return a row an action, in order of appearance: the action, then what follows from it.

    Raises:
        DataError: a row has no action, or an item column has several values for one.

    """
    if missing := frame[action].null_count():
        raise DataError(
            f"column '{action}': {missing:,} of {frame.height:,} rows have no action; leave them"
            " out of the log"
        )
    columns = list(dict.fromkeys([action, *item_columns]))
    actions = frame.select(columns).unique([action], keep="first", maintain_order=True)
    for name in columns[1:]:
        pairs = frame.select(action, name).unique(maintain_order=True)
        if pairs.height > actions.height:
            several = pairs.filter(pl.col(action).is_duplicated())[action][0]
            raise DataError(
                f"item column '{name}': expected one value an action, got several for {action}"
                f" {several!r}; leave it out, it is a column of the row"
            )
    return actions
