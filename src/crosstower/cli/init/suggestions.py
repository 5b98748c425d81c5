"""Columns that an inferred recipe suggests as comments: parts of times, ages and a history."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from crosstower.cli.init.column_names import names_item
from crosstower.cli.init.guesses import Guess, plain
from crosstower.recipe.events import IMPRESSION

_A_DATE = len("2026-01-31")
_HOURS = {"%H", "%I", "%T", "%R", "%c"}


def suggestions(
    frame: pl.DataFrame,
    guesses: dict[str, Guess],
    split: dict[str, Any],
    *,
    users: list[str],
    event: str | None,
) -> list[str]:
    """Return commented columns that the rows can fill, if they are divided by time.

    Args:
        frame: the first rows.
        guesses: guess per column.
        split: of the recipe.
        users: the columns of user ids.
        event: type of the events in a history; None for impressions, if no label makes events.

    """
    guess = guesses.get(split.get("column", ""))
    if split["kind"] != "time" or guess is None or guess.role != "time":
        return []
    time = split["column"]
    section: dict[str, Any] = {"kind": "calendar", "source": time}
    if guess.format is not None:
        section["format"] = guess.format
    parts = ["weekday"] if _has_days_alone(frame[time], guess.format) else ["hour", "weekday"]
    lines = [
        f"    # {part}: {plain(section | {'part': part})}  # in UTC, or in timezone: ZONE"
        for part in parts
        if part not in guesses
    ]
    lines += [
        f"    # since_{name}: {plain(_elapsed(name, time, guesses))}"
        for name, other in guesses.items()
        if other.role == "time" and name != time
    ]
    items = [c for c, g in guesses.items() if _is_id(g) and names_item(c)]
    if users and items and "history" not in guesses:
        history = {"kind": "sequence", "table": items[0], "event": event or IMPRESSION}
        history |= {"by": users[0], "max_len": 50, "pooling": "target"}
        needs = f"needs events: rows and time: {plain(time)} in data"
        lines.append(f"    # history: {plain(history)}  # {needs}")
    return lines


def _elapsed(start: str, end: str, guesses: dict[str, Guess]) -> dict[str, Any]:
    """Return the section of the time from one column to another."""
    formats = {"start_format": guesses[start].format, "end_format": guesses[end].format}
    given = {key: written for key, written in formats.items() if written is not None}
    return {"kind": "elapsed", "start": start, "end": end, **given}


def _has_days_alone(times: pl.Series, written: str | None) -> bool:
    if written is not None:
        return not _HOURS & set(re.findall("%.", written))
    if times.dtype == pl.String:
        return int(times.str.strip_chars().str.len_chars().max() or 0) <= _A_DATE  # type: ignore[arg-type]
    return times.dtype == pl.Date


def _is_id(guess: Guess) -> bool:
    return guess.section == {"kind": "categorical"}
