"""Policies of the closed loop, and the feed that they are played in."""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from benchmarks.live_server import Clock, LiveServer, timestamp
from benchmarks.loop_models import Models
from crosstower.data.datasets.worlds import DriftingFeed, Session
from crosstower.data.datasets.worlds.drift import DAY, START
from crosstower.serving.retraining.plan import RetrainPlan
from crosstower.serving.retraining.retrain import retrain

K = 10
_WINDOW = 7  # days of the popularity baseline
_PRIOR = 20.0  # impressions at the mean click rate, added to each item


@dataclass
class Feed:
    """A world after its warm-up, and the log of that."""

    options: argparse.Namespace
    seed: int
    log: pl.DataFrame = field(init=False)
    world: DriftingFeed = field(init=False)

    def __post_init__(self) -> None:
        o = self.options
        self.world = DriftingFeed(
            self.seed, users=o.users, items=o.items, sessions=o.sessions, lifetime=o.lifetime,
            taste_memory=o.taste_memory, taste_jumps=o.taste_jumps,
        )  # fmt: skip
        sessions = sum(len(self.world.sessions(day)) for day in range(o.warm_up))
        self.log = self.world.log(sessions * K)

    @property
    def days(self) -> range:
        return range(self.options.warm_up, self.options.warm_up + self.options.days)

    def catalogue(self) -> pl.DataFrame:
        """Return the items of all days up to the last one of the warm-up."""
        days = [self.world.items(day) for day in range(self.options.warm_up)]
        return pl.concat(days).unique("item_id", maintain_order=True)


class Policy:
    """Chooses the list of a session and learns from what happened."""

    def start(self, day: int, items: pl.DataFrame) -> None:
        """Begin a day with its items."""

    def choose(self, session: Session) -> list[int]:
        raise NotImplementedError

    def learn(self, session: Session, seen: pl.DataFrame) -> None:
        """Add the response of a user."""


class BestPossible(Policy):
    def __init__(self, feed: Feed) -> None:
        self.world = feed.world

    def choose(self, session: Session) -> list[int]:
        return self.world.best(session, K)


class Popularity(Policy):
    """The items of the day with the best smoothed click rate, without those clicked before."""

    def __init__(self, feed: Feed) -> None:
        self.days = {
            int(day): part.select("item_id", "click")
            for (day,), part in feed.log.group_by(pl.col("session_id") // 1_000_000)
        }
        self.clicked = clicked_items(feed.log)
        self.order: list[int] = []

    def start(self, day: int, items: pl.DataFrame) -> None:
        recent = pl.concat(self.days[d] for d in self.days if day - _WINDOW <= d < day)
        mean = recent["click"].mean()
        found = recent.group_by("item_id").agg(pl.len(), pl.col("click").sum())
        rates = items.join(found, on="item_id", how="left").with_columns(
            pl.col("len", "click").fill_null(0)
        )
        rate = (pl.col("click") + _PRIOR * mean) / (pl.col("len") + _PRIOR)
        self.order = rates.sort(rate, descending=True)["item_id"].to_list()

    def choose(self, session: Session) -> list[int]:
        clicked = self.clicked.get(session.user_id, set())
        return [item for item in self.order if item not in clicked][:K]

    def learn(self, session: Session, seen: pl.DataFrame) -> None:
        rows = seen.select("item_id", "click")
        old = self.days.get(session.day)
        self.days[session.day] = rows if old is None else old.vstack(rows)
        remember(self.clicked, session, seen)


class Served(Policy):
    """A running server; `retrain` runs `crosstower retrain` before each day after the first."""

    def __init__(
        self, feed: Feed, server: LiveServer, clock: Clock, models: Models, *, retrain: bool,
        explore: bool = False,
    ) -> None:  # fmt: skip
        self.feed, self.server, self.clock, self.models = feed, server, clock, models
        self.plan = plan(feed.options, models) if retrain else None
        self.more = {"explore": feed.options.explore} if explore else {}
        self.there = set(feed.catalogue()["item_id"].to_list())
        self.clicked = clicked_items(feed.log)
        self.outcomes = Counter[str]()

    def start(self, day: int, items: pl.DataFrame) -> None:
        self.clock.reach(START + DAY * day)
        if self.plan is not None and day > self.feed.days[0]:
            self._retrain(self.plan, datetime.fromtimestamp(START + DAY * day, UTC))
        alive = set(items["item_id"].to_list())
        if new := alive - self.there:
            self.server.put(items.filter(pl.col("item_id").is_in(list(new))))
        self.server.delete(sorted(self.there - alive))
        self.there = alive

    def _retrain(self, plan: RetrainPlan, until: datetime) -> None:
        done = retrain(self.models.bundle, self.server.state, plan=plan, until=until)
        self.outcomes[done.outcome] += 1
        if done.outcome == "published" and done.number is not None:
            self.server.follow(done.number)
        else:
            print(until.date(), done.outcome, *done.reasons, file=sys.stderr)

    def choose(self, session: Session) -> list[int]:
        self.clock.reach(session.timestamp)
        clicked = sorted(self.clicked.get(session.user_id, set()) & self.there)
        query = {"position": 1}
        return self.server.recommend(session.user_id, K, query=query, exclude=clicked, **self.more)

    def learn(self, session: Session, seen: pl.DataFrame) -> None:
        events = session_events(session, seen)
        self.clock.reach(session.timestamp + 3)  # after its events
        self.server.events(events)
        remember(self.clicked, session, seen)


def plan(options: argparse.Namespace, models: Models) -> RetrainPlan:
    """Return the plan of the nightly retraining."""
    return RetrainPlan.model_validate(
        {
            "runs": {"retrieval": str(models.retrieval), "ranking": str(models.ranking)},
            "labels": {"window": "1m", "rank": "position"},
            "rows": {
                "base": str(models.rows),
                "replay": options.replay,
                "replay_window": f"{options.window}d",
                "min_new": 100,
            },
            "training": {"retrieval": {"epochs": 1}, "ranking": {"epochs": options.nightly_epochs}},
            "candidates": options.candidates,
            "gate": {"max_loss": options.max_loss, "drift": None},  # the feed drifts
            "index": "exact",
        }
    )


def session_events(session: Session, seen: pl.DataFrame) -> list[dict[str, Any]]:
    """Return impressions, clicks and likes of a session."""
    found = []
    for row in seen.iter_rows(named=True):
        kinds = ["impression", *(kind for kind in ("click", "like") if row[kind])]
        found += [
            {
                "event_id": f"{session.session_id}-{row['position']}-{kind}",
                "type": kind,
                "time": timestamp(session.timestamp + i),
                "request_id": str(session.session_id),
                "user": session.user_id,
                "item_id": row["item_id"],
                "rank": row["position"],
            }
            for i, kind in enumerate(kinds)
        ]
    return found


def clicked_items(log: pl.DataFrame) -> dict[int, set[int]]:
    """Return the clicked items per user."""
    clicks = log.filter(pl.col("click") == 1).group_by("user_id").agg("item_id")
    return {user: set(items) for user, items in clicks.iter_rows()}


def remember(clicked: dict[int, set[int]], session: Session, seen: pl.DataFrame) -> None:
    items = seen.filter(pl.col("click") == 1)["item_id"].to_list()
    clicked.setdefault(session.user_id, set()).update(items)
