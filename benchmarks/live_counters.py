"""Live counters: python -m benchmarks live_counters.

A ranker with four counters (clicks of an item in a day, its smoothed click rate in a week, the
rate of a user in a category in a month, clicks of a user in an hour: six counts) over --items
items. Times up to the start are CPU seconds of one thread.

Counts: events taken into one count, all at once and 20 at a time, microseconds to read the counts
of keys, and bytes per key. Start: seconds until a worker has counted a log of --log events again.
Events: microseconds to store one, 20 at a time, and to count it with all counts. Request:
microseconds to read all counts of candidates, and milliseconds of the whole ranking. Server:
--event-rate events per second, 20 per request, and --rate recommendations per second for
--seconds; latency counts from when a request was due, events are those acknowledged, and the CPU
seconds per second are those of the server.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from benchmarks.client import body, of_processes, open_loop, quantiles, resident_mb, server
from benchmarks.machine import describe
from benchmarks.serving_bundle import CANDIDATES, USERS, recipes, rows
from crosstower import fit
from crosstower.data.counters.keys import hashes_of, keys_of
from crosstower.data.counters.window_counts import WindowCounts
from crosstower.funnel.online.request import FunnelRequest
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.recipe import Recipe
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.counting import live_counts
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State

ROWS, PER_REQUEST, SECOND = 40_000, 20, 10**9
COUNTERS: dict[str, Any] = {
    "clicks": {"kind": "counter", "event": "click", "by": "item_id", "window": "1d"},
    "rate": {"kind": "counter", "event": "click", "per": "impression", "by": "item_id",
             "window": "7d"},
    "taste": {"kind": "counter", "event": "click", "per": "impression",
              "by": ["user_id", "category"], "window": "30d"},
    "busy": {"kind": "counter", "event": "click", "by": "user_id", "window": "1h"},
}  # fmt: skip


def counting_bundle(folder: Path, items: int) -> Bundle:
    """Train a retriever and a ranker with counters for one epoch; an existing bundle is used."""
    place = folder / f"counting-{items}"
    if not place.is_dir():
        frame, until = rows(items).head(max(ROWS, 2 * items)), datetime.now(UTC)
        times = [until - timedelta(seconds=int(s)) for s in frame["time"]]
        frame = frame.with_columns(time=pl.Series(times, dtype=pl.Datetime("us", "UTC")))
        retrieval, ranking = recipes(live=False)
        plain = yaml.safe_load(ranking.to_yaml())
        plain["data"] = {"events": "rows", "time": "time"}
        plain["schema"]["columns"] |= COUNTERS
        both = (retrieval, Recipe.model_validate(plain))
        runs = [fit(r, data=frame, out=folder / f"{r.name}-{items}") for r in both]
        make_bundle(runs, place, candidates=CANDIDATES, data=frame, index="ann")
    return Bundle.open(place)


def microseconds(work: Callable[[], object], times: int) -> float:
    start = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - start) / times * 1e6


def counts_alone(events: int, seed: int) -> None:
    """Print the speed and the memory of one count by item in a day."""
    random, now = np.random.default_rng(seed), time.time_ns()
    keys = keys_of([hashes_of(pl.Series(random.zipf(1.3, events) % 100_000))])
    times = now - random.integers(0, 86_400 * SECOND, events)
    counts = WindowCounts(EventCount(("click",), ("item_id",), 86_400 * SECOND))
    counts.advance(now)
    start = time.thread_time()
    counts.add(keys, times)
    at_once = time.thread_time() - start
    start = time.thread_time()
    for first in range(0, events // 10, PER_REQUEST):
        counts.add(keys[first : first + PER_REQUEST], times[first : first + PER_REQUEST])
    few = (time.thread_time() - start) * 10
    print(f"{events / at_once:,.0f} events/s at once, {events / few:,.0f} in parts of 20;"
          f" {len(counts):,} keys, {counts.nbytes / len(counts):,.0f} bytes per key")  # fmt: skip
    for size in (1, 200, 1_000):
        asked = random.choice(keys, size)
        read = microseconds(lambda some=asked: counts.at(some, now), 500)
        print(f"{read:.0f} µs to read the counts of {size:,} keys")


def stored(numbers: range, items: int, random: np.random.Generator, now: datetime) -> list[Event]:
    kinds = random.choice(["click", "impression", "impression", "impression"], len(numbers))
    users, things, ages = random.integers(0, (USERS, items, 86_400), (len(numbers), 3)).T.tolist()
    return [
        Event(
            event_id=f"b{number}",
            type=str(kind),
            user=user,
            item_id=thing,
            time=now - timedelta(seconds=age),
        )
        for number, kind, user, thing, age in zip(numbers, kinds, users, things, ages, strict=True)
    ]


def requests(bundle: Bundle, items: int, events: int, seed: int) -> None:
    """Print the time of a start with a log, and of requests in one thread."""
    random, live, now = np.random.default_rng(seed), Live.open(bundle), datetime.now(UTC)
    counters, funnel = live.counters, live.needs_funnel
    assert counters is not None
    with tempfile.TemporaryDirectory() as folder, State.open(folder) as state:
        for first in range(0, events, 1_000):
            state.add_events(stored(range(first, first + 1_000), items, random, now))
        start = time.thread_time()
        counts = live_counts(live, state)
        assert counts is not None
        seconds, figures = time.thread_time() - start, counts.figures()
        print(f"{seconds:.1f} s to count {events:,} events at a start;"
              f" {figures.keys:,} keys in {figures.bytes / 1e6:,.0f} MB")  # fmt: skip
        store = count = 0.0
        for first in range(events, events + 100 * PER_REQUEST, PER_REQUEST):
            some = stored(range(first, first + PER_REQUEST), items, random, datetime.now(UTC))
            store += microseconds(lambda batch=some: state.add_events(batch), 1)
            count += microseconds(counts.catch_up, 1)
        size = 100 * PER_REQUEST
        print(f"{store / size:.0f} µs to store an event, {count / size:.0f} µs to count it",
              flush=True)  # fmt: skip
        for size in (200, 1_000):
            asked = random.integers(0, items, size).tolist()
            places = funnel.catalogue.items.places_of(asked)
            ranked = funnel.catalogue.ranked
            assert ranked is not None
            parts = ranked.keys(places) | {"user_id": hashes_of(pl.Series([7]))}
            read = microseconds(lambda p=parts, n=size: counters.at(p, n, counters.instant()), 200)
            request = FunnelRequest(user=7, query={"device": "tv", "hour": 7})
            whole = microseconds(lambda r=request, a=asked: funnel.rank(r, a), 100)
            print(f"{read:.0f} µs to read all counts of {size:,} candidates,"
                  f" {whole / 1e3:.1f} ms to rank them", flush=True)  # fmt: skip


def load(
    port: int, *, rate: float, event_rate: float, seconds: float, items: int, seed: int
) -> str:
    """Return the latencies in seconds of recommendations and of requests with events, as JSON."""
    random, posts = np.random.default_rng(seed), int(event_rate * seconds / PER_REQUEST)
    users = random.integers(0, USERS, int(rate * seconds)).tolist()
    asked = [("/v1/recommend", n / rate, body(user)) for n, user in enumerate(users)]
    for n in range(posts):
        kinds = random.choice(["click", "impression", "impression", "impression"], PER_REQUEST)
        who, what = random.integers(0, (USERS, items), (PER_REQUEST, 2)).T.tolist()
        events = [
            {"event_id": f"{seed}-{n}-{i}", "type": str(kinds[i]), "user": who[i],
             "item_id": what[i]}
            for i in range(PER_REQUEST)
        ]  # fmt: skip
        due = n * PER_REQUEST / event_rate
        asked.append(("/v1/events", due, json.dumps({"events": events}).encode()))
    latencies, seconds = open_loop(port, asked)
    return json.dumps({**latencies, "seconds": seconds})


def cpu_seconds(process: int) -> float:
    """Return the CPU seconds of a process and its children so far."""
    stats = (text.rpartition(")")[2].split() for text in of_processes(process, "stat"))
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


def served(bundle: Path, options: argparse.Namespace) -> None:
    """Print latencies, acknowledged events per second, and memory, per part of --seconds."""
    names = "recommend p50 ms | p95 | p99 | largest | 20 events p50 ms | p95 | p99 | largest"
    print(f"| seconds | events/s | CPU s/s | {names} | PSS MB |\n|{'---|' * 12}")
    with server(bundle, options.workers, 8) as (port, process):
        for number in range(options.parts + 1):
            seconds = options.seconds / options.parts if number else 5.0  # the first warms up
            given = (port, options.rate, options.event_rate, seconds, options.items, number)
            command = [
                sys.executable,
                "-m",
                "benchmarks",
                "live_counters",
                "--part",
                *map(str, given),
            ]
            start, used = time.perf_counter(), cpu_seconds(process)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            found = json.loads(done.stdout)
            used = (cpu_seconds(process) - used) / (time.perf_counter() - start)
            events = len(found["/v1/events"]) * PER_REQUEST / found["seconds"]
            cells = " | ".join(quantiles(found[path]) for path in ("/v1/recommend", "/v1/events"))
            if number:
                print(f"| {number * seconds:.0f} | {events:,.0f} | {used:.2f} | {cells}"
                      f" | {resident_mb(process):,.0f} |", flush=True)  # fmt: skip


def main(words: list[str]) -> None:
    if words[:1] == ["--part"]:
        port, rate, event_rate, seconds, items, seed = words[1:]
        print(load(int(port), rate=float(rate), event_rate=float(event_rate),
                   seconds=float(seconds), items=int(items), seed=int(seed)))  # fmt: skip
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks live_counters")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--log", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--parts", type=int, default=3)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--event-rate", type=float, default=2_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="of the trained bundle (default: temporary)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    print(describe(items=given.items, log=given.log, workers=given.workers, seed=given.seed))
    counts_alone(given.log, given.seed)
    with tempfile.TemporaryDirectory() as folder:
        bundle = counting_bundle(given.folder or Path(folder), given.items)
        requests(bundle, given.items, given.log, given.seed)
        served(bundle.folder, given)
