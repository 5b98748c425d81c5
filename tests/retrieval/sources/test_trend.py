"""A trend equals a replay of its rows and events."""

import numpy as np
import polars as pl

from crosstower.retrieval.sources.trend import Trend, window_of
from crosstower.values.instants import SECOND

WINDOW, ITEMS = 640.0, pl.Series([f"f{i}" for i in range(6)])


def replay(ids: list[str], times: list[int], end: int) -> list[int]:
    """Count by a loop."""
    start = window_of(WINDOW).start(end)
    kept = [one for one, time in zip(ids, times, strict=True) if start <= time < end]
    return [kept.count(one) for one in ITEMS]


def drawn(
    random: np.random.Generator, count: int, low: int, high: int
) -> tuple[pl.Series, np.ndarray]:
    ids = pl.Series([f"f{i}" for i in random.integers(0, 6, count)])
    return ids, random.integers(low, high, count) * SECOND


def test_counts_are_those_of_a_replay_whatever_the_order_of_events() -> None:
    random = np.random.default_rng(0)
    ids, times = drawn(random, 300, 10_000, 12_000)
    trend = Trend(WINDOW, Trend.fit(WINDOW, ids, times))
    end = int(times.max()) + 1
    all_ids, all_times = ids.to_list(), times.tolist()
    assert trend.counts(ITEMS).tolist() == replay(all_ids, all_times, end)
    for now in range(12_100, 14_000, 190):
        more, at = drawn(random, 40, now - 150, now + 60)
        trend.add(more, at, now=now * SECOND)
        kept = at >= trend.until
        all_ids += more.filter(pl.Series(kept)).to_list()
        all_times += at[kept].tolist()
        end = max(end, max(time for time in all_times if time <= now * SECOND) + 1)
        assert trend.counts(ITEMS).tolist() == replay(all_ids, all_times, end)
    trend.advance(20_000 * SECOND)
    assert trend.counts(ITEMS).tolist() == replay(all_ids, all_times, max(all_times) + 1)


def test_a_fresh_trend_has_the_rows_alone_and_takes_their_place() -> None:
    ids, times = pl.Series(["f1", "f1"]), np.array([100, 200]) * SECOND
    trend = Trend(WINDOW, Trend.fit(WINDOW, ids, times))
    trend.add(pl.Series(["f2"]), np.array([300]) * SECOND, now=900 * SECOND)
    fresh, version = trend.fresh(), trend.version
    assert fresh.counts(ITEMS).tolist() == [0, 2, 0, 0, 0, 0]
    assert trend.counts(ITEMS).tolist() == [0, 2, 1, 0, 0, 0]
    trend.take(fresh)
    assert trend.counts(ITEMS).tolist() == [0, 2, 0, 0, 0, 0]
    assert trend.version > version
    assert trend.start == trend.until == 200 * SECOND + 1


def test_events_of_training_rows_are_not_counted_twice() -> None:
    ids, times = pl.Series(["f1", "f2"]), np.array([100, 200]) * SECOND
    trend = Trend(WINDOW, Trend.fit(WINDOW, ids, times))
    trend.add(ids, times, now=900 * SECOND)
    assert trend.counts(ITEMS).tolist() == [0, 1, 1, 0, 0, 0]
