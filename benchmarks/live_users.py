"""Live users in the state of a server: python -m benchmarks live_users.

A log of --events clicks and impressions of --users users. Times are microseconds per call in one
thread: a look at a log that has not changed, a user in the cache, a user who has just clicked, and
a user read by the index. Then the rate at which events are stored, a thousand at a time, and the
seconds that the erasure of a user takes. Last, the milliseconds from the acknowledgement of a click
to the end of the first response without the clicked item, by the worker that has stored it and by
another one; both are in this process, with a state on disk.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from fastapi.testclient import TestClient

from benchmarks.loop_models import first_models
from benchmarks.machine import describe
from crosstower.serving.http.app import create_app
from crosstower.serving.http.settings import Settings
from crosstower.serving.state.events import Event
from crosstower.serving.state.histories import LiveHistories
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


def small_bundle(folder: Path, random: np.random.Generator) -> Path:
    """A funnel of 1,000 items and 300 users, whose histories clicks extend."""
    past = int(time.time()) - 100_000
    items = pl.DataFrame({"item_id": np.arange(1_000)}).with_columns(
        topic=pl.col("item_id") % 7, content_type=pl.lit("video"), born=pl.lit(past)
    )
    count = 6_000
    rows = pl.DataFrame(
        {
            "user_id": random.integers(0, 300, count),
            "item_id": random.integers(0, 1_000, count),
            "timestamp": past + np.arange(count),
            "position": 1 + np.arange(count) % 10,
            "click": random.integers(0, 2, count).astype(np.int8),
            "like": random.integers(0, 2, count).astype(np.int8),
        }
    ).join(items.drop("born"), on="item_id", maintain_order="left")
    return first_models(folder, rows, items, live=True, epochs=1, candidates=100).bundle


def delays(folder: Path, clicks: int, random: np.random.Generator) -> None:
    """Print the time from an acknowledged click to a response that knows of it."""
    bundle = small_bundle(folder / "made", random)
    settings = Settings(bundle=bundle, state=folder / "state")
    apps = [TestClient(create_app(settings), base_url="http://127.0.0.1") for _ in range(2)]
    with apps[0] as one, apps[1] as two:
        for name, reader in (("same", one), ("another", two)):
            taken, responses = list[float](), list[int]()
            for number in range(clicks):
                user = int(random.integers(300))
                item = listed(reader, user)[0]
                event = {"event_id": f"{name}{number}", "type": "click", "user": user,
                         "item_id": item}  # fmt: skip
                one.post("/v1/events", json={"events": [event]}).raise_for_status()
                start, asked = time.perf_counter(), 1
                while item in listed(reader, user):
                    asked += 1
                taken.append(1e3 * (time.perf_counter() - start))
                responses.append(asked)
            p50, p99 = np.percentile(taken, [50, 99])
            print(
                f"{name} worker: {p50:.1f} ms (p99 {p99:.1f}, longest {max(taken):.1f}) to a"
                f" response that knows the click; at most {max(responses)} response(s) needed,"
                f" {clicks} clicks"
            )


def listed(client: TestClient, user: int) -> list[int]:
    response = client.post("/v1/recommend", json={"user": user, "k": 10, "query": {"position": 1}})
    response.raise_for_status()
    return [item["item_id"] for item in response.json()["items"]]


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks live_users")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--clicks", type=int, default=500, help="clicks whose delay is measured")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    print(describe(events=given.events, users=given.users, seed=given.seed))
    random = np.random.default_rng(given.seed)
    with tempfile.TemporaryDirectory() as folder, State.open(folder) as state:
        rate = fill(state, given.events, given.users, random)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
        print(f"{rate:,.0f} events stored per second, {size:,.0f} MB")
        histories = LiveHistories(state, TYPES, length=100)
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
    with tempfile.TemporaryDirectory() as folder:
        delays(Path(folder), given.clicks, random)
