"""Commented columns of an inferred recipe: parts of the time, and a history."""

import polars as pl

from crosstower.data.datasets import worlds
from crosstower.recipe.kinds.elapsed import Elapsed
from crosstower.recipe.loading import parse_recipe

from .test_ranking import starter


def test_the_history_of_a_user_is_suggested_where_rows_can_fill_it() -> None:
    frame = worlds.make("rentals", rows=3000).frame
    text = starter(frame, "click")
    (line,) = (line for line in text.splitlines() if line.startswith("    # history: "))
    assert "table: listing_id, event: click, by: user_id" in line
    with_it = text.replace("    # history", "    history")
    with_it = with_it.replace("\ndata:\n", "\ndata:\n  events: rows\n  time: timestamp\n")
    (found,) = parse_recipe(with_it).schema_.event_lists()
    assert (found.column, found.events, found.by) == ("history", ("click",), ("user_id",))
    assert "history" not in starter(frame.drop("timestamp"), "click")
    assert "history" not in starter(frame.rename({"listing_id": "house"}), "click")


def test_parts_of_the_time_are_suggested() -> None:
    frame = worlds.make("rentals", rows=3000).frame
    text = starter(frame, "click")
    lines = [line for line in text.splitlines() if "kind: calendar" in line]
    assert [line.split(":")[0] for line in lines] == ["    # hour", "    # weekday"]
    recipe = parse_recipe(
        text.replace("    # hour", "    hour").replace("    # weekday", "    weekday")
    )
    assert recipe.schema_.row_times().keys() == {"timestamp"}
    days = frame.with_columns(pl.from_epoch("timestamp").dt.date().alias("timestamp"))
    assert "part: hour" not in starter(days, "click")
    assert "part: weekday" in starter(days, "click")
    written = days.with_columns(pl.col("timestamp").dt.strftime("%d.%m.%Y"))
    assert "format: '%d.%m.%Y', part: weekday" in starter(written, "click")
    assert "calendar" not in starter(frame.drop("timestamp"), "click")
    text_days = days.with_columns(pl.col("timestamp").cast(pl.String))
    assert "part: hour" not in starter(text_days, "click")
    noon = days.with_columns(pl.lit("01/31/2026 01:00:00 PM").alias("timestamp"))
    assert "part: hour" in starter(noon, "click")


def test_events_of_a_history_are_impressions_where_no_label_makes_any() -> None:
    frame = worlds.make("rentals", rows=3000).frame
    rated = frame.with_columns(rating=pl.col("click") * 4 + 1).drop("click", "booking")
    assert "event: impression, by: user_id" in starter(rated, "rating")
    ordered = frame.with_columns(step=pl.int_range(pl.len())).drop("timestamp")
    assert "history" not in starter(ordered, "click")


def test_the_time_since_another_time_is_suggested() -> None:
    frame = worlds.make("rentals", rows=3000).frame
    listed = pl.from_epoch("timestamp").dt.date() - pl.duration(days=pl.col("user_id") % 500)
    text = starter(frame.with_columns(listed.dt.strftime("%d.%m.%Y").alias("listed_at")), "click")
    (line,) = (line for line in text.splitlines() if "kind: elapsed" in line)
    assert line.startswith("    # since_listed_at: ")
    recipe = parse_recipe(text.replace("    # since_listed_at", "    since_listed_at"))
    column = recipe.schema_.columns["since_listed_at"]
    assert isinstance(column, Elapsed)
    assert column.sources("") == ("listed_at", "timestamp")
    assert column.start_format == "%d.%m.%Y"
