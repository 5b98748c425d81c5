"""A server under load: latency at a steady rate, throughput against bare calls, memory, a long run.

A two-tower model over --items items (vectors of 64, approximate index), 500 candidates, a
multi-task DCN-V2, calibration and a blend by content type. Requests are due at fixed times whether
or not earlier ones are answered, from sixteen threads of a process of its own on the same machine;
latency counts from when a request was due. Throughput is of closed loops of
--connections a worker. The bare calls are the index's search and the model's forward alone, in a
loop in one process, for other users and candidates each time. With --sources, candidates come from
the model, item-kNN, the transition graph and popular items, 500 in all.
"""

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.client import THREADS, Connection, K, in_a_process, quantiles, resident_mb, server
from benchmarks.machine import describe
from benchmarks.mixed import beside_events, mixed
from benchmarks.overload import flood, table
from benchmarks.serving_bundle import CANDIDATES, USERS, serving_bundle

RATE, CONNECTIONS = 50, 16


def steady(port: int, rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Return the latency in seconds of each request of an open loop.

    Each thread sleeps until its next request is due. An event loop would wake up to a millisecond
    late, which would count as the server's time.
    """
    users = np.random.default_rng(seed).integers(0, USERS, int(rate * seconds)).tolist()
    found = [0.0] * len(users)
    begin = time.perf_counter() + 0.2

    def some(first: int) -> None:
        connection = Connection(port)
        for number in range(first, len(users), THREADS):
            due = begin + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.ask(users[number])
            found[number] = time.perf_counter() - due

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(some, range(THREADS)))
    return found


def closed(port: int, connections: int, seconds: float) -> float:
    """Return the responses per second of a closed loop."""
    start = time.perf_counter()

    def some(number: int) -> int:
        random, connection, count = np.random.default_rng(number), Connection(port), 0
        while time.perf_counter() < start + seconds:
            connection.ask(int(random.integers(0, USERS)))
            count += 1
        return count

    with ThreadPoolExecutor(connections) as threads:
        count = sum(threads.map(some, range(connections)))
    return count / (time.perf_counter() - start)


def bare(folder: Path, seconds: float) -> dict[str, float]:
    """Return the bare calls a second, in this process and one thread; and their milliseconds."""
    import torch

    from crosstower.data.batch import Batch
    from crosstower.funnel.online.request import FunnelRequest
    from crosstower.serving.bundle import Bundle
    from crosstower.serving.bundle.live import Live

    torch.set_num_threads(1)
    live = Live.open(Bundle.open(folder, check=False)).needs_funnel
    random, ranker = np.random.default_rng(2), live.ranker
    if ranker is None:
        raise SystemExit("the bundle has no ranker")
    prepared = []
    for user in random.integers(0, USERS, 200).tolist():
        query = {"device": "tv", "hour": user % 24}
        known = live.retriever.queries.known(user)
        vector, _ = live.retriever.query(user, query)
        raw = {"country": None, **(known.row if known is not None else {}), "user_id": user}
        rows = live.catalogue.ranked.take(
            live.recommend(FunnelRequest(user=user, query=query)).places
        )
        prepared.append((vector, ranker.request(ranker.query(raw | query), rows)))
    items, model = live.catalogue.items, ranker.scorer

    def search(vector: np.ndarray) -> None:
        items.nearest(vector, CANDIDATES)

    def score(request: Batch) -> None:
        model.logits(request)

    parts = {"search": 0.0, "model": 0.0}
    count, until = 0, time.perf_counter() + seconds
    start = time.perf_counter()
    while time.perf_counter() < until:
        vector, request = prepared[count % len(prepared)]
        one = time.perf_counter()
        search(vector)
        two = time.perf_counter()
        score(request)
        parts["search"] += two - one
        parts["model"] += time.perf_counter() - two
        count += 1
    spent = time.perf_counter() - start
    milliseconds = {name: 1e3 * value / count for name, value in parts.items()}
    return {"rate": count / spent, **milliseconds}


def part(name: str, first: str, *rest: str) -> None:
    """Do what a process of its own is for, and print what it found."""
    if name == "bare":
        print(json.dumps(bare(Path(first), float(rest[0]))))
    elif name == "flood":
        print(flood(int(first), int(rest[0]), int(rest[1]), float(rest[2])))
    elif name == "mixed":
        print(mixed(int(first), *map(float, rest[:3]), int(rest[3]), seed=int(rest[4])))
    elif name == "steady":
        print(json.dumps(steady(int(first), float(rest[0]), float(rest[1]))))
    else:
        print(json.dumps(closed(int(first), int(rest[0]), float(rest[1]))))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks serve", description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--max-batch-size", type=int, default=8, help="Of crosstower serve.")
    parser.add_argument("--soak", type=float, default=0, metavar="MINUTES")
    parser.add_argument("--folder", type=Path, help="Keeps the trained bundle for the next time.")
    parser.add_argument("--sources", action="store_true", help="Candidates of four sources.")
    parser.add_argument("--mixed", action="store_true", help="Recommendations and events.")
    parser.add_argument("--event-rate", type=float, default=200, help="Of --mixed, per second.")
    parser.add_argument("--overload", action="store_true", help="Ask for more than it can do.")
    parser.add_argument("--flood", type=int, default=256, help="Connections of --overload.")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        part(*options.part)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        bundle = serving_bundle(folder, options.items, live=options.mixed, sources=options.sources)
        print(describe(items=options.items, candidates=CANDIDATES, rate=options.rate, k=K))
        if options.mixed:
            beside_events(bundle.folder, options)
        elif options.overload:
            overload(bundle.folder, options)
        else:
            show(bundle.folder, options)


def overload(bundle: Path, options: argparse.Namespace) -> None:
    """Print what one worker answers before, in and after a flood."""
    with server(bundle, 1, options.max_batch_size) as (port, _):
        for _ in range(options.rounds):
            asked = (str(port), str(options.connections), str(options.flood), str(options.seconds))
            print(table(json.loads(in_a_process("flood", *asked))), flush=True)


def show(bundle: Path, options: argparse.Namespace) -> None:
    names = ("workers", "rate", "p50 ms", "p95", "p99", "largest", "PSS MB", "closed loop/s")
    print(f"| {' | '.join(names)} | bare/s (search, model ms) | of bare |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for workers in options.workers:
        with server(bundle, workers, options.max_batch_size) as (port, process):
            run(bundle, port, process, workers, options)
    if options.soak:
        soak(bundle, options)


def run(bundle: Path, port: int, process: int, workers: int, options: argparse.Namespace) -> None:
    """Print a row; the bare calls and the closed loop take turns, as the machine's speed moves."""
    in_a_process("steady", str(port), str(options.rate), "5")  # warm
    latencies: list[float] = []
    bare_calls: list[dict[str, float]] = []
    rates: list[float] = []
    for _ in range(options.rounds):
        found = in_a_process("steady", str(port), str(options.rate), str(options.seconds))
        latencies += json.loads(found)
        bare_calls.append(json.loads(in_a_process("bare", str(bundle), "8")))
        connections = str(options.connections * workers)
        rates.append(json.loads(in_a_process("closed", str(port), connections, "10")))
    shares = [rate / calls["rate"] / workers for rate, calls in zip(rates, bare_calls, strict=True)]
    names = ("rate", "search", "model")
    rate, search, model = (float(np.median([b[name] for b in bare_calls])) for name in names)
    cells = [str(workers), f"{options.rate:g}/s", quantiles(latencies)]
    cells += [f"{resident_mb(process):,.0f}", f"{np.median(rates):.0f}"]
    cells += [f"{rate:.0f} ({search:.2f}, {model:.2f})", f"{np.median(shares):.0%}"]
    print(f"| {' | '.join(cells)} |", flush=True)


def soak(bundle: Path, options: argparse.Namespace) -> None:
    """Ask steadily for minutes, and print memory and latency as they go."""
    print("\n| minute | p50 ms | p95 | p99 | largest | PSS MB |\n|---|---|---|---|---|---|")
    with server(bundle, options.workers[-1], options.max_batch_size) as (port, process):
        for minute in range(int(options.soak)):
            found = json.loads(in_a_process("steady", str(port), str(options.rate), "59"))
            print(
                f"| {minute + 1} | {quantiles(found)} | {resident_mb(process):,.0f} |", flush=True
            )


if __name__ == "__main__":
    main(sys.argv[1:])
