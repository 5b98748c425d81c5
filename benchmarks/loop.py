"""A closed loop: what a server earns per day in a feed that changes, by how it learns.

A day is a day of `worlds.DriftingFeed`. New items are PUT and dead ones DELETEd, each session is a
POST /v1/recommend, the feed draws what the user does, and that is a POST /v1/events. The worth of a
list is its true value: expected clicks, a like counting as two clicks. Every policy has a feed of
its own with the same seed, hence the same users, items, sessions and random numbers.

- popularity: smoothed click rate per item over the last seven days, from its own log;
- frozen: the bundle of the first days;
- live: the same bundle; click events extend the histories that the query tower reads;
- retrain: frozen, and every night `crosstower events`, fit, bundle and POST /v1/model;
- live + retrain: both;
- live + retrain + exploration: and requests have --explore;
- best possible: the best list by the true probabilities.

All models learn from a log of --warm-up days under a policy that shows popular items. No list has
items that its user has clicked.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.live_server import live_server
from benchmarks.loop_models import loop_bundle
from benchmarks.loop_policies import BestPossible, Feed, Policy, Popularity, Served
from benchmarks.machine import describe

EXPLORE = {"kind": "plackett_luce", "temperature": 0.1, "top": 50}


def played(feed: Feed, policy: Policy) -> list[float]:
    """Return the mean true value of a list per day."""
    worth = []
    for day in feed.days:
        policy.start(day, feed.world.items(day))
        values = []
        for session in feed.world.sessions(day):
            shown = policy.choose(session)
            values.append(feed.world.value(session, shown))
            policy.learn(session, feed.world.respond(session, shown))
        worth.append(float(np.mean(values)))
    return worth


def run(options: argparse.Namespace, seed: int, folder: Path) -> dict[str, list[float]]:
    """Return the worth per day of each policy."""
    first = Feed(options, seed)
    bundles: dict[bool, Path] = {}
    found = {}
    for name in options.policies:
        feed, begin = Feed(options, seed), time.perf_counter()
        with ExitStack() as stack:
            if name in SERVED:
                live = SERVED[name]["live"]
                if live not in bundles:
                    bundles[live] = loop_bundle(
                        folder / f"first-{live}", first.log, first.catalogue(), live=live,
                        epochs=options.epochs, candidates=options.candidates,
                    )  # fmt: skip
                mine = folder / name.replace(" ", "_")
                server = stack.enter_context(live_server(bundles[live], mine / "state"))
                policy: Policy = Served(feed, server, mine, **SERVED[name])
            else:
                policy = OWN[name](feed)
            found[name] = played(feed, policy)
        print(f"seed {seed}, {name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    return found


OWN: dict[str, Callable[[Feed], Policy]] = {
    "popularity": Popularity,
    "best possible": BestPossible,
}
SERVED: dict[str, dict[str, bool]] = {
    "frozen": {"live": False, "retrain": False},
    "live": {"live": True, "retrain": False},
    "retrain": {"live": False, "retrain": True},
    "live + retrain": {"live": True, "retrain": True},
    "live + retrain + exploration": {"live": True, "retrain": True, "explore": True},
}


def show(found: list[dict[str, list[float]]], first: int) -> None:
    """Print the worth per day and the share of the possible gain, means over seeds."""
    names = list(found[0])
    print(f"| day | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    worth = np.array([[of[name] for name in names] for of in found])  # [seeds, policies, days]
    for day, row in enumerate(worth.mean(axis=0).T):
        print(f"| {first + day} | {' | '.join(f'{x:.3f}' for x in row)} |")
    last = worth[:, :, -3:].mean(axis=2)  # [seeds, policies]
    if {"popularity", "best possible"} <= set(names):
        low, high = (last[:, [names.index(n)]] for n in ("popularity", "best possible"))
        share = (last - low) / (high - low)
        cells = [mean_sd(column) for column in share.T]
        print(f"| share of the possible gain, last 3 days | {' | '.join(cells)} |")


def mean_sd(values: np.ndarray) -> str:
    sd = f" ± {values.std(ddof=1):.1%}" if len(values) > 1 else ""
    return f"{values.mean():.1%}{sd}"


def plot(found: list[dict[str, list[float]]], first: int, path: Path) -> None:
    """Draw the mean worth per day."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in found[0]:
        worth = np.mean([of[name] for of in found], axis=0)
        axes.plot(range(first, first + len(worth)), worth, marker="o", label=name)
    axes.set(xlabel="day", ylabel="true value of a list", ylim=(0, None))
    axes.legend()
    figure.savefig(path)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks loop", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--warm-up", type=int, default=10, metavar="DAYS")
    parser.add_argument("--window", type=int, default=6, metavar="DAYS", help="Of retraining.")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=1_000, help="That the ranker scores.")
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--items", type=int, default=3_000)
    parser.add_argument("--sessions", type=float, default=12.0, help="Per user and day.")
    parser.add_argument("--lifetime", type=float, default=10.0, metavar="DAYS")
    parser.add_argument("--taste-memory", type=float, default=0.98)
    parser.add_argument("--taste-jumps", type=float, default=0.02)
    parser.add_argument("--explore", type=json.loads, default=EXPLORE, metavar="JSON")
    names = [*OWN, *SERVED]
    parser.add_argument("--policies", nargs="+", choices=names, default=names)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="Picture to write.")
    options = parser.parse_args(arguments)
    print(describe(**{k: v for k, v in vars(options).items() if k != "plot"}))
    found = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found.append(run(options, seed, Path(folder)))
    show(found, options.warm_up)
    if options.plot:
        plot(found, options.warm_up, options.plot)
