"""Counts at the times of rows: brute force, event by event."""

import numpy as np
import pytest
from hypothesis import given, settings
from tests.data.counters.test_window_counts import COUNTS, EVENTS, Log, brute, keys

from crosstower.data.counters.point_in_time import PointInTimeCounts
from crosstower.data.counters.window_counts import WindowCounts
from crosstower.recipe.event_count import EventCount


@given(COUNTS, EVENTS, EVENTS)
@settings(max_examples=200, deadline=None)
def test_counts_equal_brute_force(count: EventCount, log: Log, rows: Log) -> None:
    counts = PointInTimeCounts(
        count, keys(*(k for k, _ in log)), np.array([t for _, t in log], np.int64)
    )
    found = counts.at(keys(*(k for k, _ in rows)), np.array([t for _, t in rows], np.int64))
    assert found.tolist() == [brute(count, log, key, time) for key, time in rows]


@pytest.mark.parametrize("seed", range(3))
def test_a_server_counts_the_same_to_the_bit(seed: int) -> None:
    rng, week = np.random.default_rng(seed), 7 * 86_400 * 10**9
    count = EventCount(("click",), ("item_id",), week, delay=300 * 10**9 * (seed % 2))
    some = rng.integers(0, 40, 3_000).astype(np.uint64)
    times = np.sort(rng.integers(0, 6 * week, 3_000))
    whole, kept = PointInTimeCounts(count, some, times), WindowCounts(count)
    asked = np.arange(45).astype(np.uint64)
    for place in range(0, 3_000, 75):
        instant = int(times[place])  # at the time of an event, which must not count
        kept.add(some[place : place + 75], times[place : place + 75])
        wanted = whole.at(asked, np.full(45, instant))
        assert kept.at(asked, instant).tolist() == wanted.tolist()


def test_an_event_at_the_time_of_the_row_does_not_count() -> None:
    counts = PointInTimeCounts(EventCount(("c",), ("k",), 640), keys(1, 1), np.array([10, 11]))
    assert counts.at(keys(1, 1, 1), np.array([10, 11, 12])).tolist() == [0, 1, 2]
