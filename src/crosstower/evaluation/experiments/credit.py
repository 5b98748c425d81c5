"""Clicks on interleaved lists, credited to the ranking that picked the item. No torch."""

from __future__ import annotations

import numpy as np
import polars as pl

from crosstower.evaluation.experiments.interleaving import preference
from crosstower.evaluation.experiments.report import InterleavedArm
from crosstower.evaluation.experiments.specification import Experiment
from crosstower.evaluation.experiments.units import ARM, EXPERIMENT, TEAM, UNIT
from crosstower.values.columns import text_of

_PLACE = ("request_id", "item_id")


def preferences(
    events: pl.DataFrame, units: pl.DataFrame, experiment: Experiment
) -> tuple[tuple[InterleavedArm, ...], list[str]]:
    """Return the preference per interleaved arm, and notes about clicks without credit.

    A click belongs to the team in its own `attributes.team`, else to that of the impression with
    its request and item. Several clicks on one item of one list count once.

    Args:
        events: as `events_of` returns them.
        units: `[U]` users of the experiment, from `units_of`.
        experiment: its interleaved arms and types of events.

    """
    found, notes = list[InterleavedArm](), list[str]()
    for name, arm in experiment.arms.items():
        if arm.interleave is None or arm.share == 0.0:
            continue
        users = units.filter(pl.col("arm") == name).select(UNIT)
        clicks = _clicks(events, experiment, name).join(users, on=UNIT, how="semi")
        if lost := clicks["team"].is_in(arm.interleave).not_().fill_null(value=True).sum():
            notes.append(
                f"{name}: {lost:,} of {clicks.height:,} clicks have no impression with a team and"
                " are not credited; send request_id and item_id with clicks"
            )
        once = clicks.unique([UNIT, *_PLACE], keep="first", maintain_order=True)
        counts = [
            users.join(
                once.filter(pl.col("team") == team).group_by(UNIT).len(),
                on=UNIT, how="left", maintain_order="left",
            )["len"].fill_null(0).to_numpy().astype(np.float64)
            for team in arm.interleave
        ]  # fmt: skip
        first, second = arm.interleave
        one = preference(*counts, level=experiment.level)
        found.append(InterleavedArm(name, first, second, one))
    return tuple(found), notes


def _clicks(events: pl.DataFrame, experiment: Experiment, arm: str) -> pl.DataFrame:
    """Return the clicks of an arm with `team`."""
    mine = events.filter(pl.col(EXPERIMENT) == experiment.name, pl.col(ARM) == arm)
    mine = mine.with_columns(
        *(_text(mine, name).alias(name) for name in _PLACE), _text(mine, TEAM).alias("team")
    ).select("type", UNIT, *_PLACE, "team")
    shown = mine.filter(pl.col("type") == experiment.exposure).drop_nulls([*_PLACE, "team"])
    shown = shown.unique(_PLACE, keep="first", maintain_order=True)
    clicks = mine.filter(pl.col("type") == experiment.click)
    shown = shown.select(*_PLACE, pl.col("team").alias("shown"))
    clicks = clicks.join(shown, on=_PLACE, how="left", maintain_order="left")
    return clicks.with_columns(pl.coalesce("team", "shown").alias("team"))


def _text(events: pl.DataFrame, name: str) -> pl.Series:
    """Return a column as text; nulls where the events lack it."""
    if name not in events.columns:
        return pl.Series(name, [None] * events.height, pl.String)
    return text_of(events[name])
