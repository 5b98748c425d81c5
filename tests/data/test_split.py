from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.sources import source as sources
from crosstower.data.sources.source import open_source
from crosstower.data.split import HISTORY_ROWS, SPLITS, fit_splitter, select
from crosstower.data.times.clocks import clocks_of
from crosstower.errors import DataError
from crosstower.recipe.data import Data
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.recipe.split import (
    ColumnSplit,
    GroupSplit,
    LeaveLastOutSplit,
    RandomSplit,
    Split,
    TimeSplit,
)
from crosstower.recipe.times import TimeFormat


def assign(split: Split, frame: pl.DataFrame) -> np.ndarray:
    """Split as training does: the splitter sees `row` and the raw columns that it asked for."""
    splitter = fit_splitter(split, open_source(frame))
    seen = [frame[c].alias(raw_name(c)) for c in splitter.columns]
    return splitter.assign(pl.DataFrame([pl.int_range(frame.height, eager=True).alias(ROW), *seen]))


def shares(assignment: np.ndarray) -> list[float]:
    return (np.bincount(assignment, minlength=3) / len(assignment)).tolist()


def test_a_random_split_has_its_shares_and_follows_its_seed() -> None:
    frame = pl.DataFrame({"i": range(50_000)})
    first = assign(RandomSplit(fractions=(0.7, 0.2, 0.1), seed=1), frame)
    assert shares(first) == pytest.approx([0.7, 0.2, 0.1], abs=0.01)
    again = assign(RandomSplit(fractions=(0.7, 0.2, 0.1), seed=1), frame)
    other = assign(RandomSplit(fractions=(0.7, 0.2, 0.1), seed=2), frame)
    assert (first == again).all()
    assert (first != other).mean() > 0.3


def test_more_rows_do_not_move_the_ones_before() -> None:
    few, many = (assign(RandomSplit(), pl.DataFrame({"i": range(n)})) for n in (500, 800))
    assert (few == many[:500]).all()


def test_a_group_is_on_one_side() -> None:
    users = np.random.default_rng(0).integers(0, 3000, 40_000)
    assignment = assign(GroupSplit(column="user"), pl.DataFrame({"user": users}))
    sides = pl.DataFrame({"user": users, "side": assignment}).group_by("user").n_unique()
    assert sides["side"].max() == 1
    assert shares(assignment) == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


def test_a_group_of_numbers_splits_as_the_same_group_of_text() -> None:
    frame = pl.DataFrame({"user": range(300)})
    text = frame.cast({"user": pl.String})
    assert (
        assign(GroupSplit(column="user"), frame) == assign(GroupSplit(column="user"), text)
    ).all()


START = datetime(2024, 1, 1)


@pytest.mark.parametrize("kind", ["integers", "text", "datetimes"])
def test_a_time_split_trains_on_the_past(kind: str) -> None:
    order = np.random.default_rng(0).permutation(1000)
    times = {
        "integers": pl.Series(order),
        "text": pl.Series(order).cast(pl.String),
        "datetimes": pl.Series([START + timedelta(hours=int(h)) for h in order]),
    }[kind]
    assignment = assign(TimeSplit(column="time"), pl.DataFrame({"time": times}))
    assert np.bincount(assignment).tolist() == [800, 100, 100]
    last_train, first_test = order[assignment == 0].max(), order[assignment == 2].min()
    assert last_train < order[assignment == 1].min()
    assert order[assignment == 1].max() < first_test


@given(st.lists(st.integers(0, 9), min_size=3, max_size=60))
def test_rows_of_one_moment_stay_together_and_nothing_of_the_future_leaks(times: list) -> None:
    assignment = assign(TimeSplit(column="t"), pl.DataFrame({"t": times}))
    for one, its in zip(times, assignment, strict=True):
        for other, theirs in zip(times, assignment, strict=True):
            assert its == theirs if one == other else (its <= theirs if one < other else True)


def test_a_time_that_is_missing_is_an_error() -> None:
    with pytest.raises(
        DataError,
        match=r"column .t.: expected a time, got nothing in row 1 of data frame; fill it in",
    ):
        assign(TimeSplit(column="t"), pl.DataFrame({"t": [1, None, 3]}))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=60))
def test_leave_last_out_agrees_with_a_loop(rows: list) -> None:
    frame = pl.DataFrame(rows, schema=["user", "time"], orient="row")
    history = defaultdict(list)
    for row, (user, time) in enumerate(rows):
        history[user].append((time, row))
    expected = np.zeros(len(rows), dtype=int)
    for seen in history.values():
        *_, valid, test = [(None, None), *sorted(seen)][-2:]
        expected[test[1]] = 2
        if valid[1] is not None:
            expected[valid[1]] = 1
    assert assign(LeaveLastOutSplit(group="user", time="time"), frame).tolist() == expected.tolist()


def test_leave_last_out_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    frame = pl.DataFrame({"user": random.integers(0, 20, 300), "time": random.integers(0, 50, 300)})
    split = LeaveLastOutSplit(group="user", time="time")
    whole = assign(split, frame)
    monkeypatch.setattr(sources, "CHUNK_ROWS", 7)
    assert (assign(split, frame) == whole).all()
    assert np.bincount(whole).tolist() == [260, 20, 20]


def test_a_column_says_the_split() -> None:
    frame = pl.DataFrame({"part": ["test", "train", "valid"]})
    assert assign(ColumnSplit(column="part"), frame).tolist() == [2, 0, 1]


def test_a_column_may_say_that_a_row_is_history_where_histories_are_read() -> None:
    frame = pl.DataFrame({"part": ["history", "test", "train"]})
    raw = pl.DataFrame({ROW: range(3), raw_name("part"): frame["part"]})
    split = ColumnSplit(column="part")
    splitter = fit_splitter(split, open_source(frame), histories=True)
    assert splitter.assign(raw).tolist() == [HISTORY_ROWS, 2, 0]
    with pytest.raises(DataError, match="expected one of train, valid, test, got 'history'"):
        assign(split, frame)
    wrong = raw.with_columns(pl.lit("past").alias(raw_name("part")))
    with pytest.raises(DataError, match="one of train, valid, test, history, got 'past'"):
        splitter.assign(wrong)


@pytest.mark.parametrize("wrong", ["Train", None, "dev"])
def test_a_column_with_another_word_is_an_error(wrong: str | None) -> None:
    frame = pl.DataFrame({"part": ["test", "train", wrong]})
    match = f"split column 'part': expected one of train, valid, test, got {wrong!r}"
    with pytest.raises(DataError, match=match):
        assign(ColumnSplit(column="part"), frame)


def test_select_gives_the_rows_of_a_split() -> None:
    frame = pl.DataFrame({"i": [10, 11, 12]})
    assignment = np.array([0, 2, 0], dtype=np.int8)
    picked = [select(frame, assignment, i)["i"].to_list() for i, _ in enumerate(SPLITS)]
    assert picked == [[10, 12], [], [11]]


MONTHS = [f"{month}/15/2024" for month in range(1, 13)]


def test_text_of_an_own_format_splits_by_time_only_if_the_format_is_known() -> None:
    source = open_source(pl.DataFrame({"when": MONTHS}))
    split = TimeSplit(column="when", fractions=(0.5, 0.25, 0.25))
    with pytest.raises(DataError, match=r"'1/15/2024' in row 0 .* data.times.when.format"):
        fit_splitter(split, source)
    data = Data(times={"when": TimeFormat(format="%m/%d/%Y")})
    splitter = fit_splitter(split, source, clocks_of(data, source))
    frame = pl.DataFrame({ROW: range(12), raw_name("when"): MONTHS})
    assert splitter.assign(frame).tolist() == [0] * 6 + [1] * 3 + [2] * 3


def test_decimal_text_splits_by_value() -> None:
    times = [f"{hour}.5" for hour in range(1, 13)]
    split = TimeSplit(column="t", fractions=(0.5, 0.25, 0.25))
    assert assign(split, pl.DataFrame({"t": times})).tolist() == [0] * 6 + [1] * 3 + [2] * 3


def test_files_of_several_units_split_as_one_column(tmp_path: Path) -> None:
    days = pl.Series("t", [START + timedelta(days=d) for d in range(20)])
    days[:10].to_frame().write_parquet(tmp_path / "a.parquet")
    days[10:].to_frame().cast(pl.Datetime("ms")).write_parquet(tmp_path / "b.parquet")
    source = open_source(tmp_path)
    splitter = fit_splitter(TimeSplit(column="t"), source)
    found = [
        splitter.assign(c.frame.select(pl.lit(0).alias(ROW), pl.col("t").alias(raw_name("t"))))
        for c in source.chunks(["t"])
    ]
    assert np.concatenate(found).tolist() == [0] * 16 + [1] * 2 + [2] * 2


def test_a_split_at_given_times() -> None:
    days = pl.Series([START + timedelta(days=d) for d in range(14)])
    split = TimeSplit(column="t", valid_from="2024-01-08", test_from="2024-01-10T12:00:00")
    expected = [0] * 7 + [1] * 3 + [2] * 4
    for times in (days, days.cast(pl.String), days.dt.epoch("s"), days.cast(pl.Date)):
        assert assign(split, pl.DataFrame({"t": times})).tolist() == expected
    numbers = TimeSplit(column="t", valid_from=7, test_from=10)
    assert assign(numbers, pl.DataFrame({"t": range(14)})).tolist() == expected
    swapped = TimeSplit(column="t", valid_from="2024-01-08", test_from="2024-01-08")
    with pytest.raises(DataError, match="valid_from must be before test_from"):
        assign(swapped, pl.DataFrame({"t": days}))
    with pytest.raises(DataError, match=r"data.split.valid_from: expected a number, since column"):
        assign(split, pl.DataFrame({"t": range(14)}))


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_rows_without_a_time_are_in_no_split_if_bad_rows_are_skipped(missing: float | None) -> None:
    times = pl.Series("t", [float(i) for i in range(10)] + [missing], dtype=pl.Float64)
    source = open_source(times.to_frame())
    for split in (TimeSplit(column="t"), LeaveLastOutSplit(group="t", time="t")):
        with pytest.raises(DataError, match=r"expected a time, got (nothing|nan) in row 10"):
            fit_splitter(split, source)
    skipping = clocks_of(Data(on_bad_rows="skip"), source)
    splitter = fit_splitter(TimeSplit(column="t"), source, skipping)
    frame = pl.DataFrame([pl.Series(ROW, range(11)), times.alias(raw_name("t"))])
    assert splitter.assign(frame).tolist() == [0] * 8 + [1, 2, -1]
