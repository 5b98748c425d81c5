"""Live users in the state of a server: python -m benchmarks live_users.

A log of --events clicks and impressions of --users users. Times are microseconds per call in one
thread: a look at a log that has not changed, a user in the cache, a user who has just clicked, and
a user read by the index. Then the rate at which events are stored, a thousand at a time, and the
seconds that the erasure of a user takes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from crosstower.serving.state.events import Event
from crosstower.serving.state.histories import Histories
from crosstower.serving.state.state import State

START, BATCH, TYPES = datetime(2026, 1, 1, tzinfo=UTC), 1_000, ("click", "purchase")


def microseconds(work: Callable[[int], object], times: int) -> float:
    start = time.perf_counter()
    for number in range(times):
        work(number)
    return (time.perf_counter() - start) / times * 1e6


def fill(state: State, events: int, users: int, random: np.random.Generator) -> float:
    """Store events in batches; return events per second."""
    spent = 0.0
    for first in range(0, events, BATCH):
        kinds = random.choice(["click", "purchase", "impression", "impression"], BATCH).tolist()
        who, what = random.integers(0, (users, 100_000), (BATCH, 2)).T.tolist()
        batch = [
            Event(
                event_id=f"e{first + n}",
                type=kinds[n],
                time=START + timedelta(seconds=first + n),
                user=who[n],
                item_id=what[n],
                query={"device": "tv"},
            )
            for n in range(BATCH)
        ]
        start = time.perf_counter()
        state.add_events(batch)
        spent += time.perf_counter() - start
    return events / spent


def click(state: State, number: int, user: int) -> None:
    state.add_events([Event(event_id=f"c{number}", type="click", user=user, item_id=number)])


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks live_users")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    print(describe(events=given.events, users=given.users, seed=given.seed))
    random = np.random.default_rng(given.seed)
    with tempfile.TemporaryDirectory() as folder, State.open(folder) as state:
        rate = fill(state, given.events, given.users, random)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
        print(f"{rate:,.0f} events stored per second, {size:,.0f} MB")
        histories = Histories(state, TYPES, length=100)
        count = min(2_000, given.users)
        print(f"{microseconds(histories.of, count):.1f} µs to read a user by the index")
        print(f"{microseconds(histories.of, count):.1f} µs for a user in the cache")
        look = microseconds(lambda _n: histories.catch_up(state.heads()), count)
        print(f"{look:.1f} µs to look at the log")
        spent = 0.0
        for number in range(200):
            click(state, number, number)
            start = time.perf_counter()
            histories.catch_up(state.heads())
            items = histories.of(number).items
            spent += time.perf_counter() - start
            if items[-1] != number:
                raise SystemExit(f"user {number}: the click is missing")
        print(f"{spent / 200 * 1e6:.1f} µs for a user who has just clicked")
        start = time.perf_counter()
        rows, events = state.erase_users([7])
        seconds = time.perf_counter() - start
        print(f"{seconds:.2f} s to erase a user with {rows + events:,} rows from {size:,.0f} MB")
