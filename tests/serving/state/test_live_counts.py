"""Live counts: what a worker counts equals a replay of the log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.data.counters.count_files import CountsAtEnd
from crosstower.data.counters.keys import hashes_of
from crosstower.data.counters.window_counts import WindowCounts
from crosstower.funnel.online.counters import OnlineCounters, parts_of
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.schema import Schema
from crosstower.serving.state import live_counts as module
from crosstower.serving.state.event_keys import EventKeys
from crosstower.serving.state.event_log import microseconds
from crosstower.serving.state.events import Event
from crosstower.serving.state.live_counts import LiveCounts
from crosstower.serving.state.state import State

START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS: dict[str, Any] = {
    "item_clicks": {"kind": "counter", "event": "click", "by": ["item"], "window": "1h"},
    "taste": {
        "kind": "counter",
        "event": ["click", "purchase"],
        "per": "impression",
        "by": ["user", "topic"],
        "window": "2h",
        "delay": "1m",
    },
    "place": {"kind": "counter", "event": "click", "by": "place", "window": "30m"},
}
SCHEMA = Schema.model_validate({"columns": COLUMNS, "tasks": {"liked": "binary"}})


class Clock:
    """A clock that a test sets, in seconds after the start; gives nanoseconds."""

    seconds = 0.0

    def __call__(self) -> int:
        return 1_000 * microseconds(START + timedelta(seconds=self.seconds))


class Items:
    """Topics of items, which come and change."""

    def __init__(self, topics: dict[Any, str]) -> None:
        self.topics, self.changes = topics, (0, 0)

    def of(self, ids: pl.Series) -> Any:
        found = [self.topics.get(one if one is None else str(one)) for one in ids]
        hashes = hashes_of(pl.Series(found, dtype=pl.String))
        return np.array([one is not None for one in found]), {"topic": hashes}

    def put(self, item: str, topic: str) -> None:
        moved = int(self.topics.get(item, topic) != topic)
        self.topics[item] = topic
        self.changes = self.changes[0] + 1, self.changes[1] + moved


def snapshot(until: datetime = START) -> CountsAtEnd:
    return CountsAtEnd(
        until=1_000 * microseconds(until),
        counts={count: WindowCounts(count) for count in SCHEMA.counts()},
    )


def opened(state: State, clock: Clock, items: Items, **more: Any) -> tuple[LiveCounts, Any]:
    counters = OnlineCounters(SCHEMA, snapshot().counts, now=clock)
    keys = EventKeys(counters.keys, user=["user"], item=["item"], of_items=items.of)
    load = more.pop("load", snapshot)
    return LiveCounts(state, counters, load, keys, lambda: items.changes), counters


def event(number: Any, at: float, kind: str = "click", **more: Any) -> Event:
    time = START + timedelta(seconds=at)
    return Event(event_id=f"e{number}", type=kind, time=time, **more)


def read(counters: OnlineCounters, **columns: list[Any]) -> dict[str, list[list[int]]]:
    frame = pl.DataFrame(columns)
    counted = counters.at(parts_of(frame, counters.keys), frame.height, counters.instant())
    rows = [counters.shown(counted, row) for row in range(frame.height)]
    return {name: [row[name] for row in rows] for name in counters.names}


def facts_of(log: Sequence[Event], topics: dict[Any, str]) -> list[dict[str, Any]]:
    """Return the key columns of events, each event_id once."""
    first = {one.event_id: one for one in reversed(log)}
    return [
        {"topic": topics.get(one.item_id), "user": one.user, "item": one.item_id}
        | (one.attributes or {})
        | (one.query or {})
        | {"type": one.type, "at": 1_000 * microseconds(one.time)}
        for one in first.values()
        if one.time > START
    ]


def replayed(facts: list[dict[str, Any]], count: EventCount, key: tuple[str, ...], now: int) -> int:
    """Count by brute force the events whose values are the key, within the window."""
    oldest = (now - count.window) // count.width * count.width
    return sum(
        oldest <= one["at"] < now - count.delay
        and one["type"] in count.events
        and tuple(str(one.get(name)) for name in count.by) == key
        for one in facts
    )


def test_counts_of_two_workers_equal_a_replay_of_the_log(home: str) -> None:
    random, clock, log = np.random.default_rng(0), Clock(), list[Event]()
    topics = {f"i{n}": f"t{n % 3}" for n in range(12)}
    with State.open(home) as ours, State.open(home) as theirs:
        workers = [(state, *opened(state, clock, Items(topics))) for state in (ours, theirs)]
        for turn in range(60):
            clock.seconds += float(random.exponential(60.0))
            batch = [
                event(
                    random.integers(0, 150) if random.random() < 0.2 else f"n{turn}-{n}",
                    at=clock.seconds + float(random.normal(0.0, 900.0)),
                    kind=str(random.choice(["click", "purchase", "impression", "other"])),
                    user=int(random.integers(0, 3)) if random.random() < 0.9 else None,
                    item_id=f"i{random.integers(0, 14)}" if random.random() < 0.9 else None,
                    query={"place": "home", "topic": "t9"} if random.random() < 0.3 else None,
                    attributes={"place": int(random.integers(2)), "x": [1]},
                )
                for n in range(int(random.integers(0, 6)))
            ]
            workers[turn % 2][0].add_events(batch)
            log += batch
            rows = {
                "user": ["0", "1", "2"] * 2,
                "item": [f"i{n}" for n in random.integers(0, 14, 6)],
                "topic": ["t0", "t1", "t2", "t9", "t1", "t0"],
                "place": ["home", "0", "1", "0", "1", "else"],
            }
            facts = facts_of(log, topics)
            for _, live, counters in workers:
                live.catch_up()
                found = read(counters, **rows)
                for name, counts in counters.names.items():
                    keys = list(zip(*(rows[column] for column in counts[0].by), strict=True))
                    assert found[name] == [
                        [replayed(facts, count, key, clock()) for count in counts] for key in keys
                    ]


def test_a_restart_counts_as_before(home: str) -> None:
    clock, items = Clock(), Items({"a": "x"})
    with State.open(home) as state:
        live, counters = opened(state, clock, items)
        state.add_events([event(n, at=n, user=1, item_id="a") for n in range(1, 50)])
        clock.seconds = 100.0
        live.catch_up()
        before = read(counters, user=[1], item=["a"], topic=["x"], place=[None])
        assert before["item_clicks"] == [[49]]
        again = opened(state, clock, items)[1]
        assert read(again, user=[1], item=["a"], topic=["x"], place=[None]) == before


def test_events_up_to_the_end_of_the_log_are_in_the_bundle_already(home: str) -> None:
    clock = Clock()
    clock.seconds = 60.0
    with State.open(home) as state:
        state.add_events([event(n, at=at, item_id="a") for n, at in enumerate((-1, 0, 1e-6, 1))])
        counters = opened(state, clock, Items({}))[1]
        assert read(counters, user=[1], item=["a"], topic=[1], place=[1])["item_clicks"] == [[2]]


def test_events_wait_for_their_time(home: str) -> None:
    clock = Clock()
    with State.open(home) as state:
        live, counters = opened(state, clock, Items({}))
        state.add_events([event(1, at=10, item_id="a")])
        live.catch_up()
        found = list[int]()
        for clock.seconds in (9.0, 10.0, 10.000001):
            rows = read(counters, user=[1], item=["a"], topic=[1], place=[1])
            found.append(rows["item_clicks"][0][0])
        assert found == [0, 0, 1]
        assert live.figures().outcomes["future"] == 0


def test_an_event_of_the_last_year_waits(home: str) -> None:
    clock = Clock()
    with State.open(home) as state:
        live, counters = opened(state, clock, Items({}))
        for number, year in enumerate((1, 1969, 2262, 2500, 9999)):
            time = datetime(year, 12, 31, tzinfo=UTC)
            one = Event(event_id=f"{number}", type="click", item_id="a")
            state.add_events([one.model_copy(update={"time": time})])  # as of earlier versions
        live.catch_up()
        for clock.seconds in (1.0, 86_400.0 * 365 * 200):
            rows = read(counters, user=[1], item=["a"], topic=[1], place=[1])
            assert rows["item_clicks"] == [[0]]
        assert live.figures().outcomes["future"] == 3


def test_an_event_of_an_unknown_item_counts_once_it_exists(home: str) -> None:
    clock, items = Clock(), Items({})
    row = {"user": [1], "item": ["new"], "topic": ["x"], "place": [None]}
    with State.open(home) as state:
        live, counters = opened(state, clock, items)
        state.add_events([event(1, at=1, user=1, item_id="new")])
        clock.seconds = 120.0
        live.catch_up()
        assert read(counters, **row) == {"item_clicks": [[1]], "taste": [[0, 0]], "place": [[0]]}
        assert live.figures().outcomes["unknown_item"] == 1
        items.put("new", "x")
        live.catch_up()
        assert read(counters, **row) == {"item_clicks": [[1]], "taste": [[1, 0]], "place": [[0]]}
        assert live.figures().outcomes["unknown_item"] == 0
        assert not live.renew()


def test_an_event_without_a_key_is_reported(home: str) -> None:
    with State.open(home) as state:
        live, _ = opened(state, Clock(), Items({"a": "x"}))
        state.add_events([event(1, at=1), event(2, at=1, kind="other")])
        state.add_events([event(3, at=1, item_id="a")])
        live.catch_up()
        figures = live.figures().outcomes
        # The first has no key of all three counts, the last one only that of the item.
        assert (figures["keyed"], figures["no_key"]) == (1, 5)


def renewed(live: LiveCounts) -> int:
    times = 1
    while live.renew():
        times += 1
    return times


@pytest.mark.parametrize("how", ["erase", "delete"])
def test_deleted_events_count_no_more(home: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLICE", 7)
    clock, items = Clock(), Items({"a": "x"})
    row = {"user": [1, 2], "item": ["a", "a"], "topic": ["x", "x"], "place": [None, None]}
    with State.open(home) as state:
        live, counters = opened(state, clock, items)
        state.add_events([event(n, at=n, user=1 + n // 20, item_id="a") for n in range(1, 40)])
        clock.seconds = 300.0
        live.catch_up()
        assert read(counters, **row)["taste"] == [[19, 0], [20, 0]]
        if how == "erase":
            state.erase_users([1])
        else:
            state.delete_events(START + timedelta(seconds=20))
        state.add_events([event("late", at=200, user=2, item_id="a")])
        assert renewed(live) == 4  # of seven events each
        assert read(counters, **row)["taste"] == [[0, 0], [21, 0]]
        assert read(counters, **row)["item_clicks"] == [[21], [21]]
        assert not live.renew()


def test_an_item_with_another_topic_takes_its_events_along(home: str) -> None:
    clock, items = Clock(), Items({"a": "x"})
    row = {"user": [1, 1], "item": ["a", "a"], "topic": ["x", "y"], "place": [None, None]}
    with State.open(home) as state:
        live, counters = opened(state, clock, items)
        state.add_events([event(1, at=1, user=1, item_id="a")])
        clock.seconds = 120.0
        live.catch_up()
        assert read(counters, **row)["taste"] == [[1, 0], [0, 0]]
        items.put("a", "y")
        live.catch_up()
        assert renewed(live) == 1
        assert read(counters, **row)["taste"] == [[0, 0], [1, 0]]


def test_events_of_unknown_items_are_bounded(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 5)
    items = Items({})
    with State.open(home) as state:
        live, _ = opened(state, Clock(), items)
        state.add_events([event(n, at=1, user=1, item_id=f"n{n}") for n in range(9)])
        live.catch_up()
        outcomes = live.figures().outcomes
        assert (outcomes["unknown_item"], outcomes["dropped"]) == (5, 4)
        monkeypatch.setattr(module, "_MOST_CHARACTERS", 200)
        long = {"place": "x" * 190}  # and the event's type, user and item
        state.add_events([event("long", at=1, user=1, item_id="n9", query=long)])
        live.catch_up()
        outcomes = live.figures().outcomes
        assert (outcomes["unknown_item"], outcomes["dropped"]) == (0, 10)
