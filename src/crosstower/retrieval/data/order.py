"""Check that histories hold no items of the future."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crosstower.data.split import HISTORY_ROWS
from crosstower.errors import DataError
from crosstower.recipe.own_columns import time_name
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import order_of
from crosstower.retrieval.data.positive_rows import PositiveRows
from crosstower.retrieval.data.tower_columns import retrieval_section_of


def check_no_future(recipe: Recipe, rows: PositiveRows) -> None:
    """Reject a split whose histories hold later items than the rows that they are for.

    The history of a validation row holds its user's training rows, and that of a test row also the
    validation rows. All of them must be earlier, or at the same time. Rows without a time have the
    order of the file, and are not checked.

    Args:
        recipe: with a retrieval section.
        rows: by user and time.

    Raises:
        DataError: a history would hold items of the future.

    """
    section = retrieval_section_of(recipe)
    time = section.time or order_of(recipe.data.split)
    if section.user is None or time is None or not len(rows.user):
        return
    later = _later(rows, rows.frame[time_name(time)].to_numpy())
    if later.any():
        first = int(np.argmax(later))
        user = rows.users[int(rows.user[first])]
        raise DataError(
            f"data.split: {int(later.sum()):,} rows would be in the history of a row before them,"
            f" the first one of {section.user} {user!r}: a query would read items of its future;"
            " split by time, as leave_last_out does, or use a pooling without an order, such as"
            " mean"
        )


def _later(rows: PositiveRows, times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows are later than a row of the same user whose history holds them."""
    split = np.where(rows.split == HISTORY_ROWS, 0, rows.split)
    later = np.zeros(len(split), dtype=bool)
    for held_out in np.unique(split[split > 0]):
        # Rows are by time, so a user's first row of a split is the earliest one.
        users, first = np.unique(rows.user[split == held_out], return_index=True)
        earliest = np.full(len(rows.users), np.iinfo(np.int64).max)
        earliest[users] = times[split == held_out][first]
        later |= (split < held_out) & (times > earliest[rows.user])
    return later
