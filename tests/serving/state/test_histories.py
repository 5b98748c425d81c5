"""Live users: what is cached equals a replay of the log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from crosstower.retrieval.online.users import LiveUser
from crosstower.serving.state import histories as module
from crosstower.serving.state.event_log import microseconds
from crosstower.serving.state.events import Event
from crosstower.serving.state.histories import AHEAD, LiveHistories
from crosstower.serving.state.state import State

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that a test sets, in seconds after the start."""

    seconds = 0.0

    def __call__(self) -> int:
        return microseconds(START + timedelta(seconds=self.seconds))


def event(number: Any, user: Any = 1, item: Any = 7, at: float = 0.0, kind: str = "click") -> Event:
    time = START + timedelta(seconds=at)
    return Event(event_id=f"e{number}", type=kind, user=user, item_id=item, time=time)


def opened(state: State, clock: Clock, **more: Any) -> LiveHistories:
    return LiveHistories(state, more.pop("events", ("click", "purchase")), now=clock, **more)


def current(users: LiveHistories, user: Any) -> LiveUser:
    """Return a user with all that any worker has acknowledged."""
    users.catch_up(users._state.heads())
    return users.of(user)


def replayed(
    log: Sequence[Event], user: Any, *, length: int, after: int, now: int
) -> tuple[Any, ...]:
    """Compute a history from all events: each event_id once, by time, then by arrival."""
    first: dict[str, Event] = {}
    for one in log:
        first.setdefault(one.event_id, one)
    fits = [
        (microseconds(one.time), place, one.item_id)
        for place, one in enumerate(first.values())
        if one.user == user and one.type in ("click", "purchase") and one.item_id is not None
        if after < microseconds(one.time) <= now + AHEAD
    ]
    return tuple(item for *_, item in sorted(fits)[-length:])


def test_cached_histories_of_two_workers_equal_a_replay_of_the_log(home: str) -> None:
    random, clock, log = np.random.default_rng(0), Clock(), list[Event]()
    after = microseconds(START - timedelta(seconds=40))
    more: dict[str, Any] = {"length": 4, "after": after, "most_items": 12}
    with State.open(home) as ours, State.open(home) as theirs:
        workers = [opened(state, clock, **more) for state in (ours, theirs)]
        for turn in range(300):
            clock.seconds += float(random.exponential(5.0))
            batch = [
                event(
                    random.integers(0, 150) if random.random() < 0.3 else f"n{turn}-{n}",
                    user=int(random.integers(0, 5)),
                    item=int(random.integers(0, 30)) if random.random() < 0.9 else None,
                    at=clock.seconds + float(random.normal(0.0, 120.0)),
                    kind=str(random.choice(["click", "purchase", "impression"])),
                )
                for n in range(int(random.integers(0, 4)))
            ]
            (ours, theirs)[turn % 2].add_events(batch)
            log += batch
            for worker in workers:
                user = int(random.integers(0, 6))
                expected = replayed(log, user, length=4, after=after, now=clock())
                assert current(worker, user).items == expected
                assert len(worker) <= 12
        fresh = opened(ours, clock, **more)  # after a restart
        for user in range(6):
            expected = replayed(log, user, length=4, after=after, now=clock())
            assert current(fresh, user).items == current(workers[0], user).items == expected
        assert len(log) > 300


def test_a_batch_in_any_order_is_sorted_by_time(home: str) -> None:
    with State.open(home) as state:
        users = opened(state, Clock())
        state.add_events([event(n, item=n, at=-n) for n in (2, 5, 1)])
        assert current(users, 1).items == (5, 2, 1)
        state.add_events([event(3, item=3, at=-3), event(4, item=4, at=-1)])
        assert current(users, 1).items == (
            5,
            3,
            2,
            1,
            4,
        )  # of equal times, the first to arrive first


def test_an_event_of_the_future_counts_from_its_time_on(home: str) -> None:
    clock = Clock()
    with State.open(home) as state:
        users = opened(state, clock)
        state.add_events([event(1, item=1, at=59), event(2, item=2, at=3_600)])
        assert current(users, 1).items == (1,)  # a minute of difference between clocks is accepted
        counting, waiting = users.newest(1)
        assert ([e.item_id for e in counting], [e.item_id for e in waiting]) == ([1], [2])
        clock.seconds = 3_539.0
        assert current(users, 1).items == (1,)
        clock.seconds = 3_540.0
        assert current(users, 1).items == (1, 2)


def test_events_up_to_the_last_training_row_do_not_count_twice(home: str) -> None:
    with State.open(home) as state:
        state.add_events([event(1, item=1, at=-1), event(2, item=2), event(3, item=3, at=1)])
        assert current(opened(state, Clock(), after=microseconds(START)), 1).items == (3,)
        assert current(opened(state, Clock()), 1).items == (1, 2, 3)


def test_ids_are_those_of_training(home: str) -> None:
    given = [("7", "3"), (7, 3), (" 7 ", "3.0"), ("u", "x"), ("7", "")]
    with State.open(home) as state:
        state.add_events([event(n, user=u, item=i) for n, (u, i) in enumerate(given)])
        with state.database.writing() as connection:  # as earlier versions stored it
            connection.execute(
                "INSERT INTO events (event_id, type, time, user, item_id) VALUES"
                " ('old', 'click', ?, '\"7\"', '\"4\"')",
                (microseconds(START),),
            )
        users = opened(state, Clock())
        assert current(users, 7).items == (3, 3, 3, 4)
        assert current(users, "u").items == ("x",)
        assert current(users, "nobody") == LiveUser()


def test_attributes_of_other_workers_are_seen(home: str) -> None:
    with State.open(home) as ours, State.open(home) as theirs:
        users = opened(ours, Clock(), events=())
        assert current(users, 1) == LiveUser()
        theirs.put_users({1: {"country": "FR", "age": 3}})
        assert current(users, 1) == LiveUser({"country": "FR", "age": 3})
        theirs.put_users({1: {"age": 4}, 2: {}})
        assert current(users, 1) == LiveUser({"age": 4})
        theirs.add_events([event(1)])
        assert current(users, 1).items == ()  # no type of event extends the history


def test_deleted_events_and_users_are_forgotten_by_all_workers(home: str) -> None:
    with State.open(home) as ours, State.open(home) as theirs:
        users = opened(ours, Clock())
        theirs.put_users({1: {"age": 3}, 2: {"age": 4}})
        theirs.add_events([event(n, user=u, at=n) for n, u in enumerate((1, 2, 3))])
        assert [len(current(users, u).items) for u in (1, 2, 3)] == [1, 1, 1]
        theirs.erase_users([1])
        assert current(users, 1) == LiveUser()
        second = int((START + timedelta(seconds=1)).timestamp())
        assert current(users, 2) == LiveUser({"age": 4}, (7,), (second,))
        theirs.delete_events(START + timedelta(seconds=2))
        assert [len(current(users, u).items) for u in (1, 2, 3)] == [0, 0, 1]


def test_a_user_is_as_of_the_last_look(home: str) -> None:
    with State.open(home) as ours, State.open(home) as theirs:
        users = opened(ours, Clock())
        theirs.add_events([event(1, item=1)])
        assert users.of(1) == LiveUser()  # one look serves a batch of requests
        assert current(users, 1).items == (1,)
        theirs.add_events([event(2, item=2)])
        assert users.of(1).items == (1,)
        assert current(users, 1).items == (1, 2)


def test_many_events_at_once_are_seen(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MANY", 5)
    with State.open(home) as state:
        users = opened(state, Clock())
        assert current(users, 1).items == ()
        state.add_events([event(n, item=n, at=n) for n in range(9)])
        assert users.behind() == 9
        assert current(users, 1).items == tuple(range(9))
        assert users.behind() == 0


def test_long_attributes_count_towards_the_bound_of_the_cache(home: str) -> None:
    with State.open(home) as state:
        users = opened(state, Clock(), most_items=100)
        state.put_users({user: {"bio": "x" * 256 * 30} for user in range(9)})
        for user in range(9):
            assert current(users, user).attributes == {"bio": "x" * 256 * 30}
            assert len(users) == 31 * min(user + 1, 3)
