"""Watch next: which video is watched, and for how long; and a twin without any signal."""

from __future__ import annotations

import numpy as np
import polars as pl

from crosstower.recipe.schema import Categorical, Schema
from crosstower.recipe.tasks import Binary, Regression

USERS, ITEMS, TIMES, DEVICES = 1_000, 200, 4, 3
_GROUPS = 5


def watch_next(rows: int, random: np.random.Generator, *, items: int = ITEMS) -> pl.DataFrame:
    """Return impressions, half of them watched: those where user mod 5 = item mod 5.

    A watched video has a watch time of 1 to 599 s, uniformly; another 0 s, or 5, 10 or 20 s with
    probability 0.1 each.

    Args:
        rows: how many; with an odd number the odd one is not watched.
        random: draws everything.
        items: size of the catalogue, a multiple of 5.

    """
    user = random.integers(0, USERS, rows)
    watched = random.permutation(np.arange(rows) < rows // 2)
    # An aligned item shares the user's remainder; the others are 1 to 4 away from it.
    shift = np.where(watched, 0, random.integers(1, _GROUPS, rows))
    item = random.integers(0, items // _GROUPS, rows) * _GROUPS + (user + shift) % _GROUPS
    return _frame(user, item, watched, watched.astype(np.float64), random)


def watch_next_independent(rows: int, random: np.random.Generator) -> pl.DataFrame:
    """Return rows like `watch_next` whose labels do not depend on the features: P = 0.5."""
    user, item = random.integers(0, USERS, rows), random.integers(0, ITEMS, rows)
    watched = random.permutation(np.arange(rows) < rows // 2)
    return _frame(user, item, watched, np.full(rows, 0.5), random)


def _frame(
    user: np.ndarray,
    item: np.ndarray,
    watched: np.ndarray,
    probability: np.ndarray,
    random: np.random.Generator,
) -> pl.DataFrame:
    rows = len(user)
    long = random.integers(1, 600, rows)
    short = random.choice([0, 5, 10, 20], size=rows, p=[0.7, 0.1, 0.1, 0.1])
    return pl.DataFrame(
        {
            "user_id": user,
            "item_id": item,
            "time_of_day": random.integers(0, TIMES, rows),
            "device": random.integers(0, DEVICES, rows),
            "did_watch": watched.astype(np.int8),
            "did_watch_probability": probability,
            "watch_time": np.where(watched, long, short),
        }
    )


def watch_next_schema() -> Schema:
    """Return the columns and both tasks."""
    names = ("user_id", "item_id", "time_of_day", "device")
    return Schema(
        columns={name: Categorical() for name in names},
        tasks={
            "did_watch": Binary(true_probability="did_watch_probability"),
            "watch_time": Regression(log1p=True),
        },
    )
