"""Counts kept while events arrive: equal to brute force at every instant, and bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstower.data.counters import window_counts
from crosstower.data.counters.window_counts import WindowCounts
from crosstower.recipe.event_count import EventCount

Log = list[tuple[int, int]]


def brute(count: EventCount, log: Log, key: int, time: int) -> int:
    """Count by the sentence of the documentation, event by event."""
    width = max(count.window // 64, 1)
    first = (time - count.window) // width * width
    return sum(1 for k, t in log if k == key != 0 and first <= t < time - count.delay)


def keys(*given: int) -> np.ndarray:
    return np.array(given, np.uint64)


EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 900)), max_size=60)
COUNTS = st.builds(
    lambda window, delay: EventCount(("click",), ("item_id",), window, min(delay, window - 1)),
    st.integers(1, 700),
    st.integers(0, 90),
)


@given(COUNTS, EVENTS, st.lists(st.integers(0, 1_100), min_size=1, max_size=12), st.booleans())
@settings(max_examples=150, deadline=None)
def test_counts_equal_brute_force_at_every_instant(
    count: EventCount, log: Log, instants: list[int], late: bool
) -> None:
    """Events arrive at their time, all at once before the first instant, or after it."""
    kept, seen, waiting = WindowCounts(count), Log(), sorted(log, key=lambda event: event[1])
    for time in sorted(instants):
        arrived = [e for e in waiting if late or e[1] <= time]
        waiting = [e for e in waiting if e not in arrived]
        kept.add([k for k, _ in arrived], [t for _, t in arrived])
        seen += arrived
        found = kept.at(keys(0, 1, 2, 3, 9), time).tolist()
        assert found == [brute(count, seen, key, time) for key in (0, 1, 2, 3, 9)]
        kept = WindowCounts.of_arrays(count, kept.arrays())


def test_many_events_at_once_are_as_one_by_one() -> None:
    count, rng = EventCount(("click",), ("item_id",), 6_400), np.random.default_rng(0)
    some, times = rng.integers(1, 50, 5_000).astype(np.uint64), rng.integers(0, 20_000, 5_000)
    whole, single = WindowCounts(count), WindowCounts(count)
    for kept in (whole, single):
        kept.advance(15_000)
    whole.add(some, times)
    for key, time in zip(some.tolist(), times.tolist(), strict=True):
        single.add([key], [time])
    for time in (15_000, 17_777, 30_000):
        wanted = single.at(np.unique(some), time)
        assert whole.at(np.unique(some), time).tolist() == wanted.tolist()
    assert whole.at(keys(7), 16_000).dtype == np.int64


def test_many_waiting_events_count_from_their_time() -> None:
    kept = WindowCounts(EventCount(("click",), ("item_id",), 6_400))
    kept.add(np.arange(300).astype(np.uint64) % 3, np.arange(300))
    assert (kept.waiting, len(kept)) == (200, 0)
    assert kept.at(keys(0, 1, 2), 10).tolist() == [0, 3, 3]
    assert kept.at(keys(0, 1, 2), 300).tolist() == [0, 100, 100]


def test_an_earlier_instant_is_answered_as_of_the_last() -> None:
    kept = WindowCounts(EventCount(("click",), ("item_id",), 640))
    kept.add([5], [1_000])
    assert kept.at(keys(5), 1_001).tolist() == [1]
    assert kept.at(keys(5), 900).tolist() == [1]


class TestBounds:
    def test_keys_without_events_in_the_window_go(self) -> None:
        kept = WindowCounts(EventCount(("click",), ("item_id",), 640))
        for step in range(1, 2_000):
            kept.advance(step * 100)
            kept.add([step], [step * 100 - 1])
        assert len(kept) < 20
        assert kept.dropped_keys == 0

    def test_beyond_the_maximum_the_key_that_was_quiet_longest_is_dropped(self) -> None:
        kept = WindowCounts(EventCount(("click",), ("item_id",), 10_000), max_keys=3)
        kept.advance(1_000)
        kept.add([1, 2, 3, 1, 4], [1, 2, 3, 4, 5])
        assert kept.at(keys(1, 2, 3, 4), 1_000).tolist() == [2, 0, 1, 1]
        assert (len(kept), kept.dropped_keys) == (3, 1)
        assert WindowCounts.of_arrays(kept.count, kept.arrays(), 3).at(keys(3), 1_000) == [1]

    def test_a_key_has_at_most_its_buckets(self) -> None:
        kept = WindowCounts(EventCount(("click",), ("item_id",), 6_400))
        for time in range(0, 200_000, 50):
            kept.advance(time + 1)
            kept.add([1], [time])
        assert len(kept.arrays()["buckets"]) <= 67
        assert kept.at(keys(1), 200_000).tolist() == [
            brute(kept.count, [(1, time) for time in range(0, 200_000, 50)], 1, 200_000)
        ]

    def test_of_too_many_waiting_events_the_latest_are_dropped(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(window_counts, "MAX_WAITING", 100)
        kept = WindowCounts(EventCount(("click",), ("item_id",), 10_000))
        kept.advance(0)
        kept.add([1] * 500, list(range(500, 0, -1)))
        assert (kept.waiting, kept.dropped_waiting) == (100, 400)
        assert kept.at(keys(1), 101).tolist() == [100]
        assert kept.waiting == 0

    def test_memory_is_estimated_from_what_is_kept(self) -> None:
        kept = WindowCounts(EventCount(("click",), ("item_id",), 10_000))
        before = kept.nbytes
        kept.advance(100)
        kept.add(list(range(1, 11)), [1] * 10)
        assert kept.nbytes == before + 10 * (230 + 16)
