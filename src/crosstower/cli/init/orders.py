"""Columns that order the rows, by their values for each user or by the user's choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl

from crosstower.cli.init.guesses import MANY, Guess
from crosstower.cli.init.time_guesses import guess_time
from crosstower.errors import DataError

_ORDERING = ("time", "order")


def with_orders(
    frame: pl.DataFrame,
    guesses: dict[str, Guess],
    user: str,
    *,
    but: Callable[[str], bool] = lambda _name: False,
) -> dict[str, Guess]:
    """Return the guesses, with columns that number the rows of each user as orders.

    Args:
        frame: the first rows.
        guesses: guess per column.
        user: user id column.
        but: returns whether the guess of a column name must not change.

    """
    if frame.height < MANY or frame.height < 2 * frame[user].n_unique():
        return guesses
    names = [n for n, g in guesses.items() if g.section and n != user and not but(n)]
    found = [n for n in names if frame[n].dtype.is_integer() and _counts_up(frame, n, user)]
    return guesses | {n: Guess(None, f"orders the rows of each {user}", "order") for n in found}


def with_time(frame: pl.DataFrame, guesses: dict[str, Guess], time: str | None) -> dict[str, Guess]:
    """Return the guesses, with `time` as the only column that orders the rows.

    Args:
        frame: the first rows.
        guesses: guess per column.
        time: column of times, or of numbers that increase with time; None keeps the guesses.

    Raises:
        DataError: the column is a label, an item or a user, lacks values, or holds no times.

    """
    if time is None:
        return guesses
    if time not in guesses:
        raise DataError(f"--time {time}: already the label, the item or the user; name another")
    found = guess_time(frame[time])
    if frame[time].null_count():
        raise DataError(
            f"--time {time}: {frame[time].null_count():,} of the first {frame.height:,} rows have"
            " no time; name another column, or remove these rows"
        )
    if found is None and not frame[time].dtype.is_numeric():
        raise DataError(
            f"--time {time}: expected dates, times or numbers, got {frame[time][0]!r:.60}; name"
            " another column"
        )
    rest = {n: replace(g, role="other") if g.role in _ORDERING else g for n, g in guesses.items()}
    if found is None:
        return rest | {time: Guess(None, "orders the rows", "order")}
    return rest | {time: Guess(None, f"a time{found.words}", "time", found.format)}


def _counts_up(frame: pl.DataFrame, name: str, user: str) -> bool:
    """Return whether the n rows of each user have the numbers 0 to n - 1, or 1 to n.

    One user in a hundred may differ, as a sample may have only some of a user's rows.
    """
    column = pl.col(name)
    spread, rows = column.max() - column.min(), pl.len()
    dense = (column.n_unique() == rows) & (spread == rows - 1)
    start = int(frame[name].min() or 0)  # type: ignore[arg-type]
    counts = frame.group_by(user).agg(fits=dense & (column.min() == start))["fits"]
    return start in (0, 1) and float(counts.mean() or 0.0) > 0.99  # type: ignore[arg-type]
