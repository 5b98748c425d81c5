"""MovieLens 100k replayed through a server: the hit rate@10 of the next film.

Ratings are sorted by time. The first half trains a two-tower model; the second half arrives as
events of the type `rating`. Most users of the second half are new. A sample of the events is
evaluated: right before one arrives, its user is sent to POST /v1/recommend, and a hit is a list
that contains the film. No list contains films that the user has rated before.

- popularity: the films with the most ratings so far;
- frozen: the model of the first half; requests exclude the user's films;
- live: the same model; rating events extend histories and exclusions in the server;
- retrained: `crosstower retrain` every --retrain-every days, with all ratings so far.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.live_server import LiveServer, live_server, timestamp
from benchmarks.machine import data_folder, describe
from crosstower import Recipe, fit, make_bundle
from crosstower.serving.retraining.plan import RetrainPlan
from crosstower.serving.retraining.retrain import retrain

K, DAY = 10, 86_400
PROFILE = ("age", "gender", "occupation")
POLICIES: dict[str, dict[str, bool]] = {
    "frozen": {"live": False, "retrained": False},
    "live": {"live": True, "retrained": False},
    "frozen, retrained": {"live": False, "retrained": True},
    "live, retrained": {"live": True, "retrained": True},
}


def recipe(rows: Path, films: Path, *, live: bool, epochs: int) -> Recipe:
    small = {"kind": "categorical", "dim": 8}
    plain: dict[str, Any] = {
        "name": "replay",
        "data": {
            "path": str(rows),
            "split": {"kind": "leave_last_out", "group": "user_id", "time": "timestamp"},
        },
        "schema": {
            "columns": {
                "movie_id": "categorical",
                "history": {
                    "kind": "sequence",
                    "table": "movie_id",
                    "max_len": 50,
                    "pooling": "mean",
                },
                "age": {"kind": "numeric", "transform": "bucketise", "buckets": 8, "dim": 8},
                "gender": small,
                "occupation": small,
            }
        },
        "model": {
            "name": "two_tower",
            "item": ["movie_id"],
            "embedding_dim": 64,
            "dim": 64,
            "dropout": 0.3,
            "normalise": False,
            "temperature": 1.0,
            "learn_temperature": False,
        },
        "retrieval": {
            "item": "movie_id",
            "user": "user_id",
            "time": "timestamp",
            "history": {"column": "history", "events": ["rating"]} if live else "history",
            "items": str(films),
            "objective": "full_softmax",
            "baselines": [],
        },
        "training": {"batch_size": 512, "epochs": epochs},
    }
    return Recipe.model_validate(plain)


class Replay:
    """The ratings, and the evaluated ones among those of the second half."""

    def __init__(self, options: argparse.Namespace) -> None:
        folder = data_folder() / "movielens-100k"
        self.options, self.films = options, folder / "movies.parquet"
        self.users = pl.read_parquet(folder / "users.parquet").select("user_id", *PROFILE)
        ratings = pl.read_parquet(folder / "ratings.parquet").sort(
            "timestamp", "user_id", "movie_id"
        )
        self.first, second = ratings.head(len(ratings) // 2), ratings.tail(-(len(ratings) // 2))
        self.start = int(second["timestamp"][0])
        random = np.random.default_rng(options.seed)
        self.second = second.with_columns(
            day=(pl.col("timestamp") - self.start) // DAY,
            asked=pl.Series(random.random(len(second)) < options.share),
        )

    def bundle(self, folder: Path, *, live: bool) -> Path:
        """Fit a model of the first half in a new folder, and return its bundle."""
        folder.mkdir()
        time = pl.from_epoch("timestamp", "s").cast(pl.Datetime("us", "UTC"))
        rows = self.first.select("user_id", "movie_id", time).join(
            self.users, on="user_id", how="left", maintain_order="left"
        )
        rows.write_parquet(folder / "rows.parquet")
        given = recipe(folder / "rows.parquet", self.films, live=live, epochs=self.options.epochs)
        run = fit(given, out=folder / "run", quiet=True)
        return make_bundle(run, folder / "bundle", index="exact").folder

    def plan(self, folder: Path) -> RetrainPlan:
        """Return the plan that retrains the bundle of a folder."""
        return RetrainPlan.model_validate(
            {
                "runs": {"retrieval": str(folder / "run")},
                "rows": {"base": str(folder / "rows.parquet"), "replay": 1.0, "min_new": 1},
                "labels": {"impression": "rating", "positives": ["rating"]},
                "training": {"retrieval": {"epochs": self.options.retrain_epochs}},
                "gate": {"min_rows": 2, "min_users": 2, "max_loss": 0.99, "drift": None},
                "index": "exact",
            }
        )

    def rated(self) -> dict[int, set[int]]:
        """Return the films that each user has rated in the first half."""
        found: dict[int, set[int]] = defaultdict(set)
        for user, films in self.first.group_by("user_id").agg("movie_id").iter_rows():
            found[user].update(films)
        return found


def popular(replay: Replay) -> Iterator[tuple[int, bool]]:
    """Yield day and hit of each evaluated rating."""
    counts = Counter(replay.first["movie_id"].to_list())
    rated = replay.rated()
    for row in replay.second.iter_rows(named=True):
        user, film = row["user_id"], row["movie_id"]
        if row["asked"]:
            best = (f for f, _ in counts.most_common() if f not in rated[user])
            yield row["day"], film in [f for f, _ in zip(best, range(K), strict=False)]
        counts[film] += 1
        rated[user].add(film)


def served(
    replay: Replay, server: LiveServer, bundle: Path, *, live: bool, retrained: bool
) -> Iterator[tuple[int, bool]]:
    """Yield day and hit of each evaluated rating, answered by a server."""
    rated, waiting, fitted = replay.rated(), list[dict[str, Any]](), 0
    profiles = {row["user_id"]: row for row in replay.users.to_dicts()}
    plan = replay.plan(bundle.parent)
    for number, row in enumerate(replay.second.iter_rows(named=True)):
        user, film, day = row["user_id"], row["movie_id"], row["day"]
        if retrained and day - fitted >= replay.options.retrain_every:
            send(server, waiting)
            until = datetime.fromtimestamp(row["timestamp"], UTC)
            done = retrain(bundle, server.state, plan=plan, until=until)
            print(f"day {day}: {done.outcome}", *done.reasons, file=sys.stderr)
            if done.outcome == "published" and done.number is not None:
                server.follow(done.number)
            fitted = day
        if row["asked"]:
            send(server, waiting)
            query = {name: profiles[user][name] for name in PROFILE}
            more = {} if live else {"exclude": sorted(rated[user])}
            yield day, film in server.recommend(user, K, query=query, **more)
        rated[user].add(film)
        waiting.append(
            {
                "event_id": str(number),
                "type": "rating",
                "time": timestamp(row["timestamp"]),
                "user": user,
                "item_id": film,
                "value": float(row["rating"]),
            }
        )


def send(server: LiveServer, waiting: list[dict[str, Any]]) -> None:
    """Post events that have not been posted."""
    for start in range(0, len(waiting), 500):
        server.events(waiting[start : start + 500])
    waiting.clear()


def run(replay: Replay, folder: Path) -> dict[str, list[tuple[int, bool]]]:
    """Return days and hits per policy."""
    found = {"popularity": list(popular(replay))}
    for name in replay.options.policies:
        how, begin = POLICIES[name], time.perf_counter()
        mine = folder / name.replace(", ", "-")
        bundle = replay.bundle(mine, live=how["live"])
        with live_server(bundle, mine / "state") as server:
            found[name] = list(served(replay, server, bundle, **how))
        print(f"{name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    return found


def show(found: dict[str, list[tuple[int, bool]]], every: int) -> None:
    """Print the hit rate by period, and over all with its standard error."""
    print(f"| days | evaluated | {' | '.join(found)} |\n|---|---|{'---|' * len(found)}")
    days = np.array([day for day, _ in found["popularity"]])
    hits = {name: np.array([hit for _, hit in of]) for name, of in found.items()}
    for start in range(0, int(days.max()) + 1, every):
        mine = (days >= start) & (days < start + every)
        if mine.any():
            cells = [f"{of[mine].mean():.3f}" for of in hits.values()]
            last = start + every - 1
            print(f"| {start}-{last} | {mine.sum():,} | {' | '.join(cells)} |")
    cells = [f"{of.mean():.4f} ± {of.std() / np.sqrt(len(of)):.4f}" for of in hits.values()]
    print(f"| all, ± standard error | {len(days):,} | {' | '.join(cells)} |")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks replay", description=__doc__)
    parser.add_argument("--share", type=float, default=0.05, help="Of events that are evaluated.")
    parser.add_argument("--retrain-every", type=int, default=14, metavar="DAYS")
    parser.add_argument("--every", type=int, default=14, metavar="DAYS", help="Per printed row.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--retrain-epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--policies", nargs="+", choices=list(POLICIES), default=list(POLICIES))
    options = parser.parse_args(arguments)
    print(describe(**vars(options)))
    with tempfile.TemporaryDirectory() as folder:
        show(run(Replay(options), Path(folder)), options.every)
