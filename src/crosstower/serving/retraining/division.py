"""Division of rows by time: older rows, training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from crosstower.data.split import HISTORY
from crosstower.errors import DataError
from crosstower.serving.retraining.plan import RowsPlan
from crosstower.training.run import Run
from crosstower.values.arrays import Floats

PART = "part"
"""Column of a row's split: train, valid, test or history."""

_LEAST = 3  # new rows that can be divided


@dataclass(frozen=True)
class Cuts:
    """Times that divide the rows.

    Rows from `new_from` on were not trained on before. Validation rows start at `valid_from`, test
    rows at `test_from`.
    """

    new_from: datetime
    valid_from: datetime
    test_from: datetime


def cuts_of(times: pl.Series, plan: RowsPlan, new_from: datetime) -> Cuts:
    """Return the times that divide new rows by the shares of a plan.

    Args:
        times: of the rows of events.
        plan: shares of validation and test rows.
        new_from: rows from this time on were not trained on before.

    Raises:
        DataError: the rows cannot be divided by time.

    """
    new: Any = times.filter(times >= new_from).sort()
    count = len(new)
    places = [int(count * (1 - plan.valid - plan.test)), int(count * (1 - plan.test))]
    if count >= _LEAST:
        valid, test = (new[min(place, count - 1)] for place in places)
        if new[0] < valid < test:
            return Cuts(new_from, valid, test)
    raise DataError(
        f"the {count:,} new rows cannot be divided by time into training, validation and test rows:"
        " too many have the same time; wait for more events, or change rows.valid and rows.test"
    )


def divided(
    rows: pl.DataFrame,
    time: str,
    cuts: Cuts,
    plan: RowsPlan,
    *,
    seed: int,
    histories: bool,
    group: str | None = None,
) -> pl.DataFrame:
    """Return rows with their split in the column `PART`.

    Older rows train again with the probability `plan.replay`, all or none of a `group`. The others
    are split "history" with `histories`, and dropped without.
    """
    column = pl.col(time)
    older = column.is_null() | (column < cuts.new_from)
    again = pl.lit(pl.Series(_draws(rows, seed, group) < plan.replay))
    if plan.replay_window is not None:
        start = cuts.new_from - timedelta(seconds=plan.replay_window)
        again = again & (column >= start).fill_null(value=False)
    part = (
        pl.when(older)
        .then(pl.when(again).then(pl.lit("train")).otherwise(pl.lit(HISTORY)))
        .when(column < cuts.valid_from)
        .then(pl.lit("train"))
        .when(column < cuts.test_from)
        .then(pl.lit("valid"))
        .otherwise(pl.lit("test"))
    )
    found = rows.with_columns(part.alias(PART))
    return found if histories else found.filter(pl.col(PART) != HISTORY)


def _draws(rows: pl.DataFrame, seed: int, group: str | None) -> Floats:
    """Return uniform random numbers `[R]`, the same for the rows of a group."""
    draws = np.random.default_rng(seed).random(rows.height + 1)
    if group is None:
        return draws[:-1]
    return draws[rows[group].rank("dense").fill_null(0).to_numpy()]


def trained_until_of(run: Run, cuts: Cuts) -> datetime:
    """Return the time before which a run was trained on the rows."""
    return cuts.test_from if run.recipe.training.refit else cuts.valid_from
