"""The drifting feed by day: sessions, tastes of users, trends of topics, and items.

Between two days, for users u and topics t, with ε ~ N(0, I):

    taste:  z_u ← m·z_u + √(1 - m²)·ε; with probability `taste_jumps`, z_u ← ε instead
    trend:  r_t ← 0.9·r_t + √(1 - 0.9²)·0.5·ε
    items:  each dies with probability 1/`lifetime`; Poisson(`items`/`lifetime`) new ones are born

All three are stationary: z_u ~ N(0, I), r_t ~ N(0, 0.5²), and Poisson(`items`) items are alive.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.datasets.worlds.impressions import pick
from crosstower.values.arrays import Floats

DAY, START = 86_400, 1_704_067_200  # seconds; 2024-01-01 in UTC
TOPICS = ["news", "sport", "music", "food", "travel", "science", "film", "games"]
CONTENT_TYPES = ["article", "photo", "video"]
_APPEAL, _FADE, _OWN = 0.2, 0.2, 0.15
_TREND, _TREND_MEMORY = 0.5, 0.9

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Session:
    """One visit of a user.

    >>> Session(session_id=7, user_id=42, timestamp=1_704_067_200 + 3 * 86_400).day
    3

    Args:
        session_id: unique in the world.
        user_id: from 0.
        timestamp: in seconds, UTC.

    """

    session_id: int
    user_id: int
    timestamp: int

    @property
    def day(self) -> int:
        """Day of the session, from 0."""
        return (self.timestamp - START) // DAY


@dataclass(frozen=True)
class Items:
    """All items born so far `[N]`, by id; an item is alive from day `born` to day `dies` - 1.

    `vector` `[N, topics]` is the axis of the topic + 0.15·(own direction).
    """

    born: Ints
    dies: Ints
    topic: Ints
    content_type: Ints
    appeal: Floats
    vector: Floats

    def joined(self, other: Items) -> Items:
        """Return these items and others."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(Items))
        return Items(*(np.concatenate(pair) for pair in pairs))

    def is_alive(self, day: int) -> NDArray[np.bool_]:
        """Return which items are alive on a day `[N]`."""
        return (self.born <= day) & (day < self.dies)

    def frame(self, ids: Ints) -> pl.DataFrame:
        """Return the attributes of items that anyone can see."""
        return pl.DataFrame(
            {
                "item_id": ids,
                "topic": pick(TOPICS, self.topic[ids]),
                "content_type": pick(CONTENT_TYPES, self.content_type[ids]),
            }
        )


@dataclass(frozen=True)
class Drift:
    """How fast a feed changes; arguments as of `DriftingFeed`."""

    taste_memory: float
    taste_jumps: float
    lifetime: float


class HiddenState:
    """Tastes, trends and items of every day, simulated as far as asked for.

    Args:
        root: seed.
        users: number of users.
        items: expected number of items alive.
        drift: speeds.

    """

    def __init__(self, root: int, *, users: int, items: int, drift: Drift) -> None:
        self._root, self._users, self._expected, self._drift = root, users, items, drift
        self._tastes: list[Floats] = []
        self._trends: list[Floats] = []
        self.items = self._born(-1)

    def random(self, stream: str, number: int) -> np.random.Generator:
        """Return the generator of one stream, which draws from other streams do not move."""
        return np.random.default_rng([self._root, *stream.encode(), number])

    def tastes(self, day: int) -> Floats:
        """Return the tastes of all users on a day `[users, topics]`."""
        self.reach(day)
        return self._tastes[day]

    def popularity(self, ids: Ints, day: int) -> Floats:
        """Return appeal - 0.2·age/lifetime + trend of the topic, equal for all users `[k]`."""
        self.reach(day)
        age = (day - self.items.born[ids]) / self._drift.lifetime
        return self.items.appeal[ids] - _FADE * age + self._trends[day][self.items.topic[ids]]

    def alive(self, day: int) -> Ints:
        """Return the ids of the items alive on a day."""
        self.reach(day)
        return np.flatnonzero(self.items.is_alive(day))

    def popular(self, ids: Ints, session_id: int, day: int, k: int) -> tuple[Ints, Floats]:
        """Draw a page of some items by popularity; return its ids and propensities `[k]`.

        It is a Plackett-Luce draw with weights exp(popularity). A propensity is the probability of
        an item given those above it.
        """
        popularity = self.popularity(ids, day)
        # Gumbel keys sort into a Plackett-Luce draw without replacement.
        keys = popularity + self.random("log", session_id).gumbel(size=len(ids))
        order, weight = np.argsort(-keys)[:k], np.exp(popularity)
        above = np.cumsum(weight[order]) - weight[order]
        return ids[order], weight[order] / (weight.sum() - above)

    def reach(self, day: int) -> None:
        """Simulate all days up to this one."""
        for d in range(len(self._tastes), day + 1):
            random = self.random("tastes", d)
            taste = random.normal(size=(self._users, len(TOPICS)))
            trend = random.normal(0.0, _TREND, len(TOPICS))
            if d > 0:
                jumps = random.random((self._users, 1)) < self._drift.taste_jumps
                moved = _step(self._tastes[-1], taste, self._drift.taste_memory)
                taste = np.where(jumps, taste, moved)
                trend = _step(self._trends[-1], trend, _TREND_MEMORY)
                self.items = self.items.joined(self._born(d))
            self._tastes.append(taste)
            self._trends.append(trend)

    def _born(self, day: int) -> Items:
        """Return the items born on a day; for day -1 those that are alive at the start."""
        random, rate = self.random("items", day + 1), 1.0 / self._drift.lifetime
        count = random.poisson(self._expected * (1.0 if day < 0 else rate))
        # Lifetimes have no memory: what is left of one on day 0 does not depend on the age.
        born = 1 - random.geometric(rate, count) if day < 0 else np.full(count, day)
        topic = random.integers(0, len(TOPICS), count)
        own = random.normal(size=(count, len(TOPICS))) / np.sqrt(len(TOPICS))
        return Items(
            born=born,
            dies=max(day, 0) + random.geometric(rate, count),
            topic=topic,
            content_type=random.integers(0, len(CONTENT_TYPES), count),
            appeal=random.normal(0.0, _APPEAL, count),
            vector=np.eye(len(TOPICS))[topic] + _OWN * own,
        )


def _step(old: Floats, fresh: Floats, memory: float) -> Floats:
    """Return the next value of a stationary autoregression."""
    return memory * old + np.sqrt(1.0 - memory**2) * fresh
