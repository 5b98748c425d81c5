from collections import defaultdict
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data import sources
from crosstower.data.sources import open_source
from crosstower.data.split import SPLITS, fit_splitter, select
from crosstower.errors import DataError
from crosstower.names import ROW, raw_name
from crosstower.splits import (
    ColumnSplit,
    GroupSplit,
    LeaveLastOutSplit,
    RandomSplit,
    Split,
    TimeSplit,
)


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
    with pytest.raises(DataError, match="column 't' has a row without a time"):
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
