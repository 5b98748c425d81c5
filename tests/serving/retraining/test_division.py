from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.serving.retraining.division import PART, Cuts, cuts_of, divided
from crosstower.serving.retraining.plan import RowsPlan

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hours(*numbers: float | None) -> pl.Series:
    times = [None if n is None else START + n * HOUR for n in numbers]
    return pl.Series("time", times, pl.Datetime("us", "UTC"))


def test_new_rows_are_cut_by_their_shares() -> None:
    times = hours(*range(-50, 100))
    cuts = cuts_of(times.shuffle(1), RowsPlan(valid=0.2, test=0.1), START)
    assert cuts == Cuts(START, START + 70 * HOUR, START + 90 * HOUR)


@pytest.mark.parametrize("times", [hours(), hours(1, 2), hours(*[1.0] * 50), hours(*[1] * 40, 2)])
def test_rows_that_cannot_be_cut_are_an_error(times: pl.Series) -> None:
    with pytest.raises(DataError, match=f"the {len(times)} new rows cannot be divided by time"):
        cuts_of(times, RowsPlan(), START)


def test_rows_are_divided_by_time() -> None:
    rows = pl.DataFrame({"time": hours(None, -1, 0, 4.9, 5, 7.9, 8, 100)})
    cuts = Cuts(START, START + 5 * HOUR, START + 8 * HOUR)
    never, always = RowsPlan(replay=0), RowsPlan(replay=1)
    new = ["train", "train", "valid", "valid", "test", "test"]
    found = divided(rows, "time", cuts, never, seed=0, histories=True)
    assert found[PART].to_list() == ["history", "history", *new]
    assert divided(rows, "time", cuts, never, seed=0, histories=False)[PART].to_list() == new
    found = divided(rows, "time", cuts, always, seed=0, histories=False)
    assert found[PART].to_list() == ["train", "train", *new]


def test_a_share_of_the_older_rows_is_replayed_and_of_their_last_hours_only() -> None:
    rows = pl.DataFrame({"time": hours(None, *(-n / 100 for n in range(1, 10_000)), 1)})
    cuts = Cuts(START, START + HOUR, START + 2 * HOUR)
    plan = RowsPlan(replay=0.3)
    first, again = (divided(rows, "time", cuts, plan, seed=s, histories=False) for s in (1, 1))
    assert first.equals(again)
    assert not first.equals(divided(rows, "time", cuts, plan, seed=2, histories=False))
    assert first.height / rows.height == pytest.approx(0.3, abs=0.02)
    recent = RowsPlan(replay=1, replay_window="10h")
    found = divided(rows, "time", cuts, recent, seed=1, histories=False)
    assert found["time"].null_count() == 0
    assert found["time"].min() == START - 10 * HOUR
    assert found.height == 1_000 + 1


def test_a_group_is_replayed_as_a_whole() -> None:
    times = hours(*(-n / 100 for n in range(1, 10_000)), 1)
    rows = pl.DataFrame({"time": times, "search": [f"s{n // 5}" for n in range(len(times))]})
    cuts = Cuts(START, START + HOUR, START + 2 * HOUR)
    plan = RowsPlan(replay=0.3)
    found = divided(rows, "time", cuts, plan, seed=1, histories=True, group="search")
    older = found.filter(pl.col("time") < START)
    assert older.group_by("search").agg(pl.col(PART).n_unique())[PART].max() == 1
    assert (older[PART] == "train").mean() == pytest.approx(0.3, abs=0.03)
