"""Labels from events: one row per impression, and each event counted once.

An event with a request id belongs to the impression of that request and item. One without belongs
to the newest earlier impression of its user and item. It counts if it comes within the attribution
window after that impression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from crosstower.errors import DataError
from crosstower.recipe.own_columns import MARK
from crosstower.serving.retraining.plan import Label, Labels

AHEAD = timedelta(minutes=1)
"""Longest time that an event with a request id may precede its impression: clocks differ."""

LABELLED_AT = f"{MARK}labelled_at"
"""Column of the time of the last event that labels a row; null without one."""

REQUEST = "request_id"
"""Column of the request that an event belongs to."""

_ROW, _EVENT = f"{MARK}row", f"{MARK}event"


@dataclass(frozen=True)
class Labelled:
    """Impressions with labels, and the events without one.

    `rows` has the columns of the impressions' events, the label columns and `LABELLED_AT`.
    `alone` are the events that label no impression, with the same columns: their own label is set,
    other labels are missing. `repeated` counts impressions of one request and item beyond the
    first, which are left out. `late` counts the events of `alone`, no later than the rows, that
    came after the window of their impression.
    """

    rows: pl.DataFrame
    alone: pl.DataFrame
    repeated: int
    late: int


def label_impressions(
    events: pl.DataFrame, labels: Labels, tasks: Mapping[str, Label], *, until: datetime
) -> Labelled:
    """Return the impressions up to a time, labelled by the events within their windows.

    Later impressions take their events, but are not rows.

    Args:
        events: of `events_frame`, in any order.
        labels: type of impressions, and the window.
        tasks: events by label column, whose name differs from those of `events`.
        until: the last impression's time at most.

    Raises:
        DataError: there is no impression at all.

    """
    shown = events.filter((pl.col("type") == labels.impression) & pl.col("item_id").is_not_null())
    if shown.is_empty():
        found = ", ".join(events["type"].unique().sort().head(10)) or "none"
        raise DataError(
            f"no event of type '{labels.impression}' with an item (types found: {found}); let the"
            " server log impressions (crosstower serve --log), send them, or name their type in"
            " labels.impression"
        )
    rows = _once(shown.sort("time", maintain_order=True))
    in_time = pl.col("time") <= until
    repeated = shown.filter(in_time).height - rows.filter(in_time).height
    rows = rows.with_row_index(_ROW).with_columns(
        pl.lit(None, events.schema["time"]).alias(LABELLED_AT)
    )
    alone, late = list[pl.DataFrame](), 0
    for column, label in tasks.items():
        window = timedelta(seconds=label.window or labels.window)
        mine = events.filter((pl.col("type") == label.event) & pl.col("item_id").is_not_null())
        matched = _matched(rows, mine.with_row_index(_EVENT), window)
        late += matched.filter(pl.col("late") & (pl.col("time") <= until)).height
        rows = _with_label(rows, matched.filter(pl.col(_ROW).is_not_null()), column, label)
        alone.append(_alone(matched.filter(pl.col(_ROW).is_null()), column, label))
    missing = {name: pl.lit(None, pl.Float64) for name in tasks}
    single = pl.concat(alone, how="diagonal") if alone else rows.clear()
    single = single.with_columns(v.alias(n) for n, v in missing.items() if n not in single.columns)
    return Labelled(
        rows.filter(in_time).drop(_ROW), single.drop(_EVENT, strict=False), repeated, late
    )


def _once(shown: pl.DataFrame) -> pl.DataFrame:
    """Return the first impression of each user, request and item; all without a request."""
    keyed = pl.col(REQUEST).is_not_null()
    first = pl.struct(REQUEST, "user", "item_id").is_first_distinct()
    return shown.filter(~keyed | first)


def _matched(rows: pl.DataFrame, events: pl.DataFrame, window: timedelta) -> pl.DataFrame:
    """Return events with the row that each belongs to, or null, and whether it came too late."""
    named = events.filter(pl.col(REQUEST).is_not_null())
    others = events.filter(pl.col(REQUEST).is_null())
    found = pl.concat(
        [
            _nearest(rows, named, [REQUEST, "item_id"], AHEAD),
            _nearest(rows, others, ["user", "item_id"], timedelta(0)),
        ]
    )
    late = (pl.col("time") > pl.col("shown_at") + window).fill_null(value=False)
    row = pl.when(late).then(None).otherwise(pl.col(_ROW))
    return found.with_columns(row.alias(_ROW), late.alias("late")).drop("shown_at")


def _nearest(
    rows: pl.DataFrame, events: pl.DataFrame, by: list[str], ahead: timedelta
) -> pl.DataFrame:
    """Return events with the newest row of equal keys that is at most `ahead` after them."""
    known = rows.filter(pl.all_horizontal(pl.col(by).is_not_null()))
    right = known.select(*by, _ROW, pl.col("time").alias("shown_at")).sort("shown_at")
    left = events.with_columns((pl.col("time") + ahead).alias("\0until")).sort(
        "\0until", maintain_order=True
    )
    found = left.join_asof(
        right,
        left_on="\0until",
        right_on="shown_at",
        by=by,
        strategy="backward",
        check_sortedness=False,
    )
    return found.drop("\0until")


def _with_label(
    rows: pl.DataFrame, matched: pl.DataFrame, column: str, label: Label
) -> pl.DataFrame:
    """Add a label column: the value of a row's last event, or 1 with an event."""
    value: Any = pl.col("value") if label.value else pl.lit(1.0)
    last = (
        matched.sort("time", _EVENT)
        .group_by(_ROW, maintain_order=True)
        .agg(value.last().cast(pl.Float64).alias(column), pl.col("time").last().alias("\0time"))
    )
    found = rows.join(last, on=_ROW, how="left", maintain_order="left")
    there = pl.col("\0time").is_not_null()
    otherwise = pl.lit(label.otherwise, pl.Float64)
    return found.with_columns(
        pl.when(there).then(pl.col(column)).otherwise(otherwise).alias(column),
        pl.max_horizontal(LABELLED_AT, "\0time").alias(LABELLED_AT),
    ).drop("\0time")


def _alone(events: pl.DataFrame, column: str, label: Label) -> pl.DataFrame:
    """Return events without an impression as rows of their own, with their own label."""
    value = pl.col("value") if label.value else pl.lit(1.0)
    return events.drop(_ROW, "late").with_columns(
        value.cast(pl.Float64).alias(column), pl.col("time").alias(LABELLED_AT)
    )
