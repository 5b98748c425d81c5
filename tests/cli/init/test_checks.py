"""The split, and what to check: leaking columns, repeated rows."""

import re

import polars as pl

from crosstower.cli.init.checks import CHECK
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.split import ColumnSplit, RandomSplit, TimeSplit
from crosstower.recipe.times import TimeFormat

from .test_ranking import guessed, starter


def test_time_splits_and_the_user_groups(wide: pl.DataFrame) -> None:
    recipe = guessed(wide)
    assert recipe.data.split.kind == "time"
    assert recipe.evaluation.group == "user_id"
    assert guessed(wide.drop("when", "user_id")).data.split.kind == "random"


def test_a_column_that_tells_the_label_is_a_warning(log: pl.DataFrame) -> None:
    checks = [line for line in starter(log, "did_watch").splitlines() if line.startswith(CHECK)]
    assert len(checks) == 1
    assert "'seconds_on_page' predicts did_watch by itself (AUC 1.000)" in checks[0]
    alone = starter(log.select("seconds_on_page", "did_watch"), "did_watch")
    assert "'seconds_on_page' predicts" in alone
    assert list(parse_recipe(alone).schema_.columns) == ["seconds_on_page"]


def test_rows_on_both_sides_of_the_split_are_a_warning(log: pl.DataFrame) -> None:
    twice = pl.concat([log.select("userId", "price", "buy")] * 2)
    assert re.search(rf"{CHECK}\d+ of \d+ valid and test rows .* repeat a", starter(twice))


def test_the_split_follows_the_data(log: pl.DataFrame) -> None:
    assert guessed(log, "did_watch").data.split == ColumnSplit(column="part")
    ordered = log.drop("part")
    assert guessed(ordered, "did_watch").data.split == TimeSplit(column="step")
    assert guessed(ordered.drop("step"), "did_watch").data.split == RandomSplit()
    rising = ordered.with_columns(step=pl.int_range(1000, 1800, 2)).rename({"step": "serial"})
    assert guessed(rising, "did_watch").data.split == TimeSplit(column="serial")


def test_a_format_of_times_is_written_into_the_recipe(log: pl.DataFrame) -> None:
    days = [f"{1 + n % 12}/{1 + n % 28}/2024" for n in range(400)]
    recipe = guessed(log.drop("part").with_columns(when=pl.Series(days)), "did_watch")
    assert recipe.data.split == TimeSplit(column="when")
    assert recipe.data.times == {"when": TimeFormat(format="%m/%d/%Y")}
