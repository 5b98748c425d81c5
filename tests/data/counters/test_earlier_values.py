"""Histories at any time against a loop over the log."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.counters.earlier_values import EarlierValues
from crosstower.data.counters.keys import NO_KEY

Log = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.none() | st.sampled_from("abcd")),
    max_size=30,
)
Rows = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 8)), max_size=9)


@given(Log, Rows, st.integers(1, 5))
def test_lists_agree_with_a_loop(
    log: list[tuple[int, int, str | None]], rows: list[tuple[int, int]], length: int
) -> None:
    values = EarlierValues(
        np.array([key for key, _, _ in log], np.uint64),
        np.array([time for _, time, _ in log], np.int64),
        pl.Series([value for _, _, value in log], dtype=pl.String),
    )
    keys, times = (np.array([row[i] for row in rows], np.int64) for i in (0, 1))
    found = values.at(keys.astype(np.uint64), times, length=length)
    assert found.dtype == pl.List(pl.String)
    in_order = sorted(log, key=lambda event: event[1])  # stable: ties in the order of the log
    for (key, time), list_ in zip(rows, found.to_list(), strict=True):
        earlier = [v for k, t, v in in_order if k == key != NO_KEY and t < time and v is not None]
        assert list_ == earlier[-length:]
    billion = 10**9
    later = EarlierValues(
        np.array([key for key, _, _ in log], np.uint64),
        np.array([time * billion + time for _, time, _ in log], np.int64),
        pl.Series([value for _, _, value in log], dtype=pl.String),
    )
    ages = later.ages(keys.astype(np.uint64), times * billion, length=length)
    for (key, time), list_ in zip(rows, ages.to_list(), strict=True):
        kept = [t for k, t, v in in_order if k == key != NO_KEY and t < time and v is not None]
        assert list_ == [time - t for t in kept[-length:]]
