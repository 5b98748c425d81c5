"""Latency of a state, in a folder or in PostgreSQL: python -m benchmarks state [--state ADDRESS].

Each operation runs alone, one after the other, as a worker of a server does it. Then processes
write events at once. The schema of an address must be empty; its server decides about the disk.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.machine import describe
from crosstower.serving.state.address import full_text, state_address
from crosstower.serving.state.events import Event
from crosstower.serving.state.histories import LiveHistories
from crosstower.serving.state.state import State

USERS, SECONDS = 1_000, 5.0


def events(name: str, count: int) -> list[Event]:
    when = datetime.now(UTC)
    return [
        Event(event_id=f"{name}-{n}", type="click", time=when, user=n % USERS, item_id=n,
              query={"device": "tv"})
        for n in range(count)
    ]  # fmt: skip


def timed(work: Callable[[int], object], times: int) -> list[float]:
    found = list[float]()
    for n in range(times):
        begin = time.perf_counter()
        work(n)
        found.append(time.perf_counter() - begin)
    return found


def row(name: str, seconds: list[float]) -> None:
    p50, p99 = 1e3 * np.quantile(seconds, [0.5, 0.99])
    print(f"| {name} | {p50:.3f} | {p99:.3f} |", flush=True)


def until_seen(state: State, sequence: int) -> float:
    """Return the seconds until a state that another connection has written knows a number."""
    begin = time.perf_counter()
    while state.heads().events < sequence:
        time.sleep(1e-4)
    return time.perf_counter() - begin


def latencies(address: str, times: int) -> None:
    print("| operation | p50 ms | p99 ms |\n|---|---|---|")
    with State.open(address) as state, State.open(address) as other:
        state.follow()
        other.follow()
        for count in (1, 100, 1_000):
            many = timed(lambda n, c=count: state.add_events(events(f"{c}/{n}", c)), times)
            row(f"store {count:,} events", many)
        row("put an item", timed(lambda n: state.put_items([{"id": n}], item="id"), times))
        row("put a user", timed(lambda n: state.put_users({n: {"country": "FR"}}), times))
        row("look for changes, without any", timed(lambda _: state.heads(), 20 * times))
        histories = LiveHistories(state, ("click",))
        row("read a user", timed(lambda n: histories.of(n % USERS), min(times, USERS)))
        found = list[float]()
        for n in range(times):
            found.append(until_seen(state, other.add_events(events(f"seen/{n}", 1)).last))
        row("acknowledged to seen by another server", found)
        row("erase a user", timed(lambda n: state.erase_users([n]), max(times // 20, 5)))


def write(address: str, name: str, ready: Any, written: Any) -> None:
    with State.open(address) as state:
        ready.wait()
        end, count = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            state.add_events(events(f"w{name}/{count}", 100))
            count += 100
    written.put(count)


def rates(address: str) -> None:
    context = multiprocessing.get_context("spawn")
    for number in (1, 4):
        written, ready = context.Queue(), context.Barrier(number)
        names = [f"{number}/{n}" for n in range(number)]
        processes = [
            context.Process(target=write, args=(address, name, ready, written)) for name in names
        ]
        for process in processes:
            process.start()
        total = sum(written.get() for _ in processes)
        for process in processes:
            process.join()
        print(f"{number} processes at once: {total / SECONDS:,.0f} events/s, in hundreds")


@contextmanager
def opened(given: str | None) -> Iterator[str]:
    if given is not None:
        yield full_text(state_address(given))
        return
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks state", description=__doc__)
    parser.add_argument("--state", default=os.environ.get("CROSSTOWER_STATE"))
    parser.add_argument("--times", type=int, default=300)
    options = parser.parse_args(arguments)
    shown = "a folder" if options.state is None else f"{state_address(options.state)}"
    print(describe(state=json.dumps(shown), times=options.times))
    with opened(options.state) as address:
        latencies(address, options.times)
        rates(address)
