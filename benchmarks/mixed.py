"""Recommendations and events at the same time: python -m benchmarks serve --mixed.

Both arrive at fixed rates, whether or not earlier ones have been answered, from a process of its
own on the same machine. An event is a request of its own: a click of a random user on a random
item, which extends that user's history. Latency counts from when a request was due.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.client import (
    body,
    in_a_process,
    open_loop,
    quantiles,
    resident_mb,
    server,
)
from benchmarks.serving_bundle import USERS


def mixed(
    port: int, rate: float, event_rate: float, seconds: float, items: int, *, seed: int
) -> str:
    """Return the latencies in seconds of recommendations and events as JSON."""
    random = np.random.default_rng(seed)
    users = random.integers(0, USERS, int(rate * seconds))
    clicks = [
        (int(user), int(item))
        for user, item in random.integers(0, (USERS, items), (int(event_rate * seconds), 2))
    ]
    asked = [("/v1/recommend", n / rate, body(int(user))) for n, user in enumerate(users)]
    asked += [
        ("/v1/events", n / event_rate, event(f"{seed}-{n}", *click))
        for n, click in enumerate(clicks)
    ]
    return json.dumps(open_loop(port, asked)[0])


def event(number: str, user: int, item: int) -> bytes:
    """Return the body of a click."""
    one = {"event_id": number, "type": "click", "user": user, "item_id": item}
    return json.dumps({"events": [one]}).encode()


def beside_events(bundle: Path, options: argparse.Namespace) -> None:
    """Print latencies of recommendations and events, and memory, per part of --seconds."""
    parts = max(round(options.seconds / 60), 3)
    head = (
        "| seconds | recommend p50 ms | p95 | p99 | largest | events p50 ms | p95 | p99 | largest"
    )
    print(f"{head} | PSS MB |\n|{'---|' * 10}")
    whole: dict[str, list[float]] = {"/v1/recommend": [], "/v1/events": []}
    with server(bundle, options.workers[0], options.max_batch_size) as (port, process):
        in_a_process("steady", str(port), str(options.rate), "5")  # warm
        for number in range(parts):
            seconds = options.seconds / parts
            asked = (port, options.rate, options.event_rate, seconds, options.items, number)
            found = json.loads(in_a_process("mixed", *map(str, asked)))
            cells = [quantiles(found[path]) for path in whole]
            for path, latencies in found.items():
                whole[path] += latencies
            print(f"| {(number + 1) * seconds:.0f} | {' | '.join(cells)}", end="")
            print(f" | {resident_mb(process):,.0f} |", flush=True)
    print(f"| all | {' | '.join(quantiles(whole[path]) for path in whole)} | |")
