"""Trends of a server equal a replay of its events, in every worker."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.retrieval.sources.trend import Trend
from crosstower.serving.state import live_trends as module
from crosstower.serving.state.event_log import microseconds
from crosstower.serving.state.events import Event
from crosstower.serving.state.live_trends import LiveTrends
from crosstower.serving.state.state import State
from crosstower.values.instants import SECOND

START = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = pl.Series(["1", "2", "f"])


class Clock:
    """A clock that a test sets, in seconds after the start; gives nanoseconds."""

    seconds = 0.0

    def __call__(self) -> int:
        return 1_000 * microseconds(START + timedelta(seconds=self.seconds))


def trend() -> Trend:
    """Two rows, the last at the start."""
    last = 1_000 * microseconds(START)
    rows = pl.Series(["1", "2"]), np.array([last - 50 * SECOND, last])
    return Trend(100.0, Trend.fit(100.0, *rows))


def event(number: int, item: int | str | None, seconds: float, kind: str = "click") -> Event:
    time = START + timedelta(seconds=seconds)
    return Event(event_id=f"e{number}", type=kind, user=number, item_id=item, time=time)


def counts(one: Trend) -> list[int]:
    return one.counts(ITEMS).tolist()


def test_two_workers_count_alike_and_a_third_replays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 3)
    monkeypatch.setattr(module, "_SLICE", 3)
    clock, trends = Clock(), [trend(), trend()]
    with State.open(tmp_path) as state:
        workers = [LiveTrends(state, [one], ["click"], now=clock) for one in trends]
        assert counts(trends[0]) == [1, 1, 0]
        clock.seconds = 60
        state.add_events(
            [
                event(0, 1, -10),  # in the training rows
                event(1, "f", 10),
                event(2, 2, 20),
                event(3, None, 25),
                event(4, "f", 30, kind="view"),
                event(5, 1, 60),
                event(6, "f", 500),  # of the future
            ]
        )
        assert [worker.renew() for worker in workers] == [False, False]
        assert [counts(one) for one in trends] == [[1, 2, 1]] * 2
        third = trend()
        LiveTrends(state, [third], ["click"], now=clock)
        assert counts(third) == [1, 2, 1]
        clock.seconds = 500  # the window has moved on
        workers[0].renew()
        assert counts(trends[0]) == [0, 0, 1]
        assert counts(trends[1]) == [1, 2, 1]
        state.delete_events(START + timedelta(seconds=400))
        while workers[1].renew():
            pass
        assert counts(trends[1]) == [0, 0, 1]


def test_deleted_events_no_longer_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLICE", 2)
    clock, one = Clock(), trend()
    clock.seconds = 40
    with State.open(tmp_path) as state:
        state.add_events([event(i, "f", 10 + i) for i in range(7)])
        live = LiveTrends(state, [one], ["click"], now=clock)
        assert counts(one) == [1, 1, 7]
        state.delete_events(START + timedelta(seconds=14))
        assert live.renew()  # the old counts serve
        assert counts(one) == [1, 1, 7]
        state.add_events([event(9, "1", 20)])
        while live.renew():
            pass
        assert counts(one) == [2, 1, 3]
