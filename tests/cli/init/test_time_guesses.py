from datetime import date, datetime, timedelta

import polars as pl
import pytest

from crosstower.cli.init.time_guesses import TimeGuess, guess_time

DAYS = pl.Series("when", [date(2024, 1, 1) + timedelta(days=n) for n in range(0, 300, 7)])
MOMENTS = DAYS.cast(pl.Datetime("us"))


@pytest.mark.parametrize(
    ("series", "pattern"),
    [
        (DAYS, None),
        (MOMENTS.cast(pl.String), None),
        (MOMENTS.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), None),
        (MOMENTS.dt.strftime("%m/%d/%Y"), "%m/%d/%Y"),
        (MOMENTS.dt.strftime("%d/%m/%Y %H:%M"), "%d/%m/%Y %H:%M"),
        (MOMENTS.dt.strftime("%d %b %Y"), "%d %b %Y"),
        (MOMENTS.dt.strftime("%m %d, %Y"), "%m %d, %Y"),
        (MOMENTS.dt.strftime("%Y%m%d").cast(pl.Int64), "%Y%m%d"),
    ],
)
def test_the_format_of_times_is_guessed(series: pl.Series, pattern: str | None) -> None:
    found = guess_time(series.alias("when"))
    assert found is not None
    assert found.format == pattern


@pytest.mark.parametrize("name", ["timestamp", "createdAt", "unixReviewTime", "event_time_ms"])
def test_epochs_are_times_if_the_name_agrees(name: str) -> None:
    assert guess_time(MOMENTS.dt.epoch("s").alias(name)) == TimeGuess(" (an epoch)")
    assert guess_time(MOMENTS.dt.epoch("ms").alias("user_id")) is None
    assert guess_time(MOMENTS.dt.epoch("s").alias("price")) is None


def test_day_and_month_that_cannot_be_told_apart_are_not_guessed() -> None:
    found = guess_time(pl.Series("when", ["1/2/2024", "3/4/2024"]))
    assert found is not None
    assert found.format is None
    assert "%m/%d/%Y or %d/%m/%Y; set data.times.when" in found.words


@pytest.mark.parametrize(
    "series",
    [
        pl.Series("time", ["morning", "evening"] * 20),
        pl.Series("watch_time", [1_700_000_000, 5]),
        pl.Series("hour", [1, 2, 3]),
        pl.Series("version", ["1.2.3", "1.2.4"]),
        pl.Series("score", ["1.5", "2.5"]),
        pl.Series("code", ["2024-01-15", "n/a"]),
    ],
)
def test_other_columns_hold_no_times(series: pl.Series) -> None:
    assert guess_time(series) is None


def test_seconds_of_a_datetime_are_kept() -> None:
    found = guess_time(
        pl.Series("t", [datetime(2024, 1, 1).strftime("%a, %d %b %Y %H:%M:%S +0000")])
    )
    assert found is not None
    assert found.format == "%a, %d %b %Y %H:%M:%S %z"
