"""A closed loop: what a server earns per day in a feed that changes, by how it learns.

A day is a day of `worlds.DriftingFeed`. New items are PUT and dead ones DELETEd, each session is a
POST /v1/recommend, the feed draws what the user does, and that is a POST /v1/events. The worth of a
list is its true value: expected clicks, a like counting as two clicks. Every policy has a feed of
its own with the same seed, hence the same users, items, sessions and random numbers. The server
reads a simulated clock, as counters and histories depend on the time.

- popularity: smoothed click rate per item over the last seven days, from its own log;
- frozen: the bundle of the first days, which knows users by their ids;
- live: a bundle whose histories and counters are live, so each answer knows all events before it;
- retrain: frozen, and `crosstower retrain` every night;
- live + retrain: both;
- live + retrain + exploration: and requests have --explore;
- ideal learner: knows the equations of the world and learns the rest; see `loop_learner.py`;
- best possible: the best list by the true probabilities.

All models learn from a log of --warm-up days under a policy that shows popular items. No list has
items that its user has clicked. --compare prints test metrics of rankers within the warm-up.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.live_server import Clock, live_server
from benchmarks.loop_compare import compare
from benchmarks.loop_learner import IdealLearner
from benchmarks.loop_models import first_models
from benchmarks.loop_plot import plot, show
from benchmarks.loop_policies import BestPossible, Feed, Policy, Popularity, Served
from benchmarks.machine import describe
from crosstower.data.datasets.worlds.drift import DAY, START

EXPLORE = {"kind": "plackett_luce", "temperature": 0.05, "top": 50}
OWN: dict[str, Callable[[Feed], Policy]] = {
    "popularity": Popularity,
    "ideal learner": IdealLearner,
    "best possible": BestPossible,
}
SERVED: dict[str, dict[str, bool]] = {
    "frozen": {"live": False, "retrain": False},
    "live": {"live": True, "retrain": False},
    "retrain": {"live": False, "retrain": True},
    "live + retrain": {"live": True, "retrain": True},
    "live + retrain + exploration": {"live": True, "retrain": True, "explore": True},
}
NAMES = ["popularity", *SERVED, "ideal learner", "best possible"]


def played(feed: Feed, policy: Policy, kept: Path | None = None) -> list[float]:
    """Return the mean true value of a list per day; `kept` holds that of the days so far."""
    worth = []
    for day in feed.days:
        policy.start(day, feed.world.items(day))
        values = []
        for session in feed.world.sessions(day):
            shown = policy.choose(session)
            values.append(feed.world.value(session, shown))
            policy.learn(session, feed.world.respond(session, shown))
        worth.append(float(np.mean(values)))
        print(f"seed {feed.seed}, day {day}: {worth[-1]:.3f}", file=sys.stderr)
        if kept is not None:
            kept.write_text(json.dumps(worth))
    return worth


def run(
    options: argparse.Namespace, seed: int, name: str, folder: Path, kept: Path | None
) -> list[float]:
    """Return the worth per day of a policy."""
    feed = Feed(options, seed)
    if name in OWN:
        return played(feed, OWN[name](feed), kept)
    how = dict(SERVED[name])
    live = how.pop("live")
    models = first_models(
        (options.save or folder) / f"models-{seed}-{'live' if live else 'frozen'}",
        feed.log, feed.catalogue(), live=live, epochs=options.epochs, candidates=options.candidates,
    )  # fmt: skip
    clock = Clock(folder / "clock", START + DAY * feed.days[0])
    with live_server(models.bundle, folder / "state", clock) as server:
        policy = Served(feed, server, clock, models, **how)
        worth = played(feed, policy, kept)
    if policy.outcomes:
        print(f"seed {seed}, {name}: {dict(policy.outcomes)}", file=sys.stderr)
    return worth


def results(options: argparse.Namespace) -> list[dict[str, list[float]]]:
    """Return the worth per day by seed and policy; days that --save holds are not run again."""
    return [
        {name: result(options, seed, name) for name in options.policies} for seed in options.seeds
    ]


def result(options: argparse.Namespace, seed: int, name: str) -> list[float]:
    kept = None
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        kept = options.save / f"{seed}-{name}.json"
        days = json.loads(kept.read_text()) if kept.is_file() else []
        if len(days) >= options.days:
            return days[: options.days]
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        worth = run(options, seed, name, Path(folder), kept)
    print(f"seed {seed}, {name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    return worth


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks loop", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--days", type=int, default=6)
    parser.add_argument("--warm-up", type=int, default=10, metavar="DAYS")
    parser.add_argument("--epochs", type=int, default=10, help="At most, of the first models.")
    parser.add_argument("--nightly-epochs", type=int, default=3, help="At most, of a retraining.")
    parser.add_argument("--replay", type=float, default=0.3, help="Share of older rows, nightly.")
    parser.add_argument("--window", type=int, default=6, metavar="DAYS", help="Of older rows.")
    parser.add_argument("--max-loss", type=float, default=0.02, help="Of the gate.")
    parser.add_argument("--candidates", type=int, default=3_000, help="That the ranker scores.")
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--items", type=int, default=3_000)
    parser.add_argument("--sessions", type=float, default=12.0, help="Per user and day.")
    parser.add_argument("--lifetime", type=float, default=10.0, metavar="DAYS")
    parser.add_argument("--taste-memory", type=float, default=0.98)
    parser.add_argument("--taste-jumps", type=float, default=0.02)
    parser.add_argument("--explore", type=json.loads, default=EXPLORE, metavar="JSON")
    parser.add_argument("--policies", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument(
        "--save", type=Path, metavar="FOLDER", help="Keep results and first models."
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="Picture to write.")
    parser.add_argument("--compare", action="store_true", help="Compare rankers instead.")
    return parser


def main(arguments: list[str]) -> None:
    options = parser().parse_args(arguments)
    print(describe(**{k: v for k, v in vars(options).items() if k not in ("plot", "save")}))
    if options.compare:
        compare(options)
        return
    found = results(options)
    show(found, options.warm_up)
    if options.plot:
        plot(found, options.warm_up, options.plot)
