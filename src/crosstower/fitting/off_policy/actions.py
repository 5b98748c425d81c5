"""The actions of a log, such as shown items, and the columns that they determine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError
from crosstower.values.arrays import Floats
from crosstower.values.lookup import places_in

_ROWS_AN_ACTION = 2
_SUM_SLACK = 1e-3  # chances are often stored with a few digits


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
            f"column '{action}': {actions:,} actions in {frame.height:,} rows are too few rows per"
            " action to infer the columns that it determines; name them with --item-column (in"
            f" Python: item_columns), or '{action}' itself if there are none"
        )
    return found


def actions_of(frame: pl.DataFrame, action: str, item_columns: Sequence[str]) -> pl.DataFrame:
    """Return one row per action, in order of appearance: the action, then its derived columns.

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


def target_chances(
    frame: pl.DataFrame, actions: pl.Series, target: str, target_actions: str | None = None
) -> Floats:
    """Return a given policy's chances: `[B]` of the logged action, or `[B, A]` of every action.

    Args:
        frame: `[B]` rows of the log.
        actions: `[A]` all actions of the log, each once.
        target: column of the logged action's chance, or of a list with that of each action.
        target_actions: column of lists with the actions that the chances of `target` are of; in
            ascending order, each action of the log once, if None.

    Raises:
        DataError: the column holds neither, a chance is missing or out of [0, 1], a list has
            another length or does not sum to 1, or the policy takes an action that is not in the
            log.

    """
    column = frame[target]
    if column.null_count():
        raise DataError(
            f"target column '{target}': {column.null_count():,} of {frame.height:,} rows have no"
            " chance; fill them, or leave those rows out of the log"
        )
    if column.dtype.is_numeric() and target_actions is None:
        return _checked(column.cast(pl.Float64).to_numpy(), target)
    if not isinstance(column.dtype, pl.List | pl.Array):
        raise DataError(
            f"target column '{target}': expected the chance of the logged action as a number, or a"
            f" list of the chances of all actions, got {column.dtype}"
        )
    order = actions.sort().implode().new_from_index(0, frame.height)
    if target_actions is not None:
        order = frame[target_actions]
        if not isinstance(order.dtype, pl.List | pl.Array):
            raise DataError(
                f"target actions '{target_actions}': expected a list of actions per row, got"
                f" {order.dtype}"
            )
        order = order.cast(pl.List(order.dtype.inner))
    return _spread(column.cast(pl.List(pl.Float64)), order, actions, target)


def _spread(lists: pl.Series, order: pl.Series, actions: pl.Series, target: str) -> Floats:
    """Return `[B, A]`, the chances of lists at the places of their actions."""
    lengths = lists.list.len().to_numpy()
    wrong = lengths != order.list.len().fill_null(0).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"target column '{target}': expected a chance for each of {order.list.len()[row]:,}"
            f" actions, got {lengths[row]:,} in row {row}; name their actions with"
            " --target-actions (in Python: target_actions)"
        )
    chances = _checked(lists.explode().to_numpy(), target)
    place = places_in(actions, order.explode())
    if (lost := (place < 0) & (chances > 0.0)).any():
        unknown = order.explode()[int(lost.argmax())]
        raise DataError(
            f"target column '{target}': the policy takes action {unknown!r}, which the log never"
            " took, so nothing can be said of its value; give a log that has it"
        )
    found, kept = np.zeros((len(lists), len(actions))), place >= 0
    row = np.repeat(np.arange(len(lists)), lengths)
    np.add.at(found, (row[kept], place[kept]), chances[kept])
    sums = found.sum(axis=1)
    if (far := np.abs(sums - 1.0) > _SUM_SLACK).any():
        row = int(far.argmax())
        raise DataError(
            f"target column '{target}': the chances of a row must sum to 1, got {sums[row]:.6g} in"
            f" row {row}, {int(far.sum()):,} such rows"
        )
    return found / sums[:, None]


def _checked(chances: NDArray[Any], target: str) -> Floats:
    wrong = ~((chances >= 0.0) & (chances <= 1.0))  # NaN as well
    if wrong.any():
        raise DataError(
            f"target column '{target}': expected chances in [0, 1], got"
            f" {chances[int(wrong.argmax())]} and {int(wrong.sum()) - 1:,} more"
        )
    return chances
