"""Policies of the closed loop, and the feed that they are played in."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.live_server import LiveServer, timestamp
from benchmarks.loop_models import COLUMNS, event_rows, loop_bundle
from crosstower.data.datasets.worlds import DriftingFeed, Session

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
        days = [self.world.items(day).drop("born") for day in range(self.options.warm_up)]
        return pl.concat(days).unique("item_id", maintain_order=True)


class Policy:
    """Chooses the list of a session and learns from what happened."""

    def start(self, day: int, items: pl.DataFrame) -> None:
        """Begin a day with its items."""

    def choose(self, session: Session) -> list[int]:
        raise NotImplementedError

    def learn(self, session: Session, seen: pl.DataFrame) -> None:
        """Take in the response of a user."""


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
    """A running server; `retrain` trains its models again before each day after the first."""

    def __init__(
        self, feed: Feed, server: LiveServer, folder: Path, *, live: bool, retrain: bool,
        explore: bool = False,
    ) -> None:  # fmt: skip
        self.feed, self.server, self.folder = feed, server, folder
        self.live, self.retrain = live, retrain
        self.more = {"explore": feed.options.explore} if explore else {}
        self.known = feed.catalogue()
        self.there = set(self.known["item_id"].to_list())
        self.clicked = clicked_items(feed.log)

    def start(self, day: int, items: pl.DataFrame) -> None:
        if self.retrain and day > self.feed.days[0]:
            self.server.swap(self._fitted(day))
        items = items.drop("born")
        alive = set(items["item_id"].to_list())
        if new := alive - self.there:
            self.server.put(items.filter(pl.col("item_id").is_in(list(new))))
        self.server.delete(sorted(self.there - alive))
        self.there = alive
        self.known = pl.concat([self.known, items]).unique("item_id", maintain_order=True)

    def _fitted(self, day: int) -> Path:
        events = self.server.export(self.folder / "events.parquet")
        log = self.feed.log.with_columns(timestamp=pl.col("timestamp").cast(pl.Int64))
        rows = pl.concat(
            [log.select(pl.col(c) for c in COLUMNS), event_rows(events, self.known)],
            how="vertical_relaxed",
        )
        first = int(rows["timestamp"].max()) - self.feed.options.window * 86_400
        rows = rows.filter(pl.col("timestamp") > first)
        return loop_bundle(
            self.folder / f"day{day}", rows, self.known, live=self.live,
            epochs=self.feed.options.epochs, candidates=self.feed.options.candidates,
        )  # fmt: skip

    def choose(self, session: Session) -> list[int]:
        clicked = sorted(self.clicked.get(session.user_id, set()) & self.there)
        return self.server.recommend(session.user_id, K, exclude=clicked, **self.more)

    def learn(self, session: Session, seen: pl.DataFrame) -> None:
        self.server.events(session_events(session, seen))
        remember(self.clicked, session, seen)


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
