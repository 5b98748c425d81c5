"""An ideal learner of the drifting feed: a Bayes filter that knows the equations of the world.

It is not a competitor: it knows how clicks and likes depend on taste, topic, content type, age and
position, and how tastes and trends move. It does not know their values, and learns them from the
log of the warm-up and from its own lists, by Gaussian approximation after each shown item. It
ignores the appeal and the own direction of items, as an item has too few impressions to tell. What
it reaches is a reference for what can be learned from the log, not a bound.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.loop_policies import Feed, K, Policy, clicked_items, remember
from crosstower.data.datasets.worlds import Session
from crosstower.data.datasets.worlds.drift import DAY, START

Floats = NDArray[np.float64]
# Constants of the world, as `worlds/drifting_feed.py` and `worlds/drift.py` state them.
CLICK_BASE = {"article": -2.5, "photo": -2.0, "video": -1.5}
LIKE_BASE = {"article": -0.5, "photo": -1.0, "video": -2.0}
CLICK_TASTE, LIKE_TASTE, FADE = 1.5, 0.75, 0.2
_TREND_VARIANCE, _TREND_MEMORY = 0.25, 0.9
LIKE_WORTH = 2.0
_OPTIMISM = 0.5  # standard deviations of a taste, added to its mean: exploration


class IdealLearner(Policy):
    """Shows the best list by posterior means of tastes, raised by half a standard deviation."""

    def __init__(self, feed: Feed) -> None:
        self.feed, options = feed, feed.options
        self.memory, self.jumps = options.taste_memory, options.taste_jumps
        self.lifetime = options.lifetime
        self.topics: list[str] = sorted(feed.log["topic"].unique().to_list())
        shape = options.users, len(self.topics)
        self.taste, self.taste_variance = np.zeros(shape), np.ones(shape)
        self.trend = np.zeros(len(self.topics))
        self.trend_variance = np.full(len(self.topics), _TREND_VARIANCE)
        self.clicked = clicked_items(feed.log)
        self.about: dict[int, tuple[str, str, int]] = {}
        for day in range(options.warm_up):
            self.about |= rows_by_id(feed.world.items(day))
        self._read(feed.log)

    def _read(self, log: pl.DataFrame) -> None:
        """Learn from the warm-up."""
        for day in range(self.feed.options.warm_up):
            if day:
                self._move()
            rows = log.filter(pl.col("session_id") // 1_000_000 == day)
            for user, *shown in rows.select(
                "user_id", "item_id", "position", "click", "like"
            ).iter_rows():
                self._observe(day, user, tuple(shown))

    def _move(self) -> None:
        """Let a day pass: tastes move and may jump, trends move."""
        m, jump = self.memory, self.jumps
        mean = m * self.taste
        variance = m * m * self.taste_variance + 1 - m * m
        self.taste = (1 - jump) * mean
        self.taste_variance = (1 - jump) * variance + jump + (1 - jump) * jump * mean**2
        self.trend *= _TREND_MEMORY
        fresh = (1 - _TREND_MEMORY**2) * _TREND_VARIANCE
        self.trend_variance = _TREND_MEMORY**2 * self.trend_variance + fresh

    def start(self, day: int, items: pl.DataFrame) -> None:
        self._move()
        self.about |= rows_by_id(items)
        ids = items["item_id"].to_list()
        self.ids = np.asarray(ids)
        about = [self.about[i] for i in ids]
        self.topic = np.array([self.topics.index(topic) for topic, _, _ in about])
        self.click_base = np.array([CLICK_BASE[kind] for _, kind, _ in about])
        self.like_base = np.array([LIKE_BASE[kind] for _, kind, _ in about])
        self.age = np.array([day - born for _, _, born in about])

    def choose(self, session: Session) -> list[int]:
        user = session.user_id
        taste = self.taste[user] + _OPTIMISM * np.sqrt(self.taste_variance[user])
        fit = taste[self.topic]
        fade = FADE * self.age / self.lifetime
        click = expit(self.click_base + CLICK_TASTE * fit + self.trend[self.topic] - fade)
        worth = click * (1.0 + LIKE_WORTH * expit(self.like_base + LIKE_TASTE * fit))
        worth[np.isin(self.ids, list(self.clicked.get(user, set())))] = -1.0
        return self.ids[np.argsort(-worth, kind="stable")[:K]].tolist()

    def learn(self, session: Session, seen: pl.DataFrame) -> None:
        shown = seen.select("item_id", "position", "click", "like")
        for row in shown.iter_rows():
            self._observe(session.day, session.user_id, row)
        remember(self.clicked, session, seen)

    def _observe(self, day: int, user: int, shown: tuple[int, int, int, int]) -> None:
        """Update a taste and a trend by one shown item: a Newton step on its log likelihood."""
        item, position, click, like = shown
        topic, kind, born = self.about[item]
        t = self.topics.index(topic)
        mean, variance = self.taste[user, t], self.taste_variance[user, t]
        fade = FADE * (day - born) / self.lifetime
        p = expit(CLICK_BASE[kind] + CLICK_TASTE * mean + self.trend[t] - fade)
        look = position**-0.5
        # P(click) = look·σ(x): derivative of the log likelihood in x, and its Fisher information
        slope = 1.0 - p if click else -look * p * (1.0 - p) / (1.0 - look * p)
        information = look * p * (1.0 - p) ** 2 / (1.0 - look * p)
        gradient, precision = CLICK_TASTE * slope, CLICK_TASTE**2 * information
        if click:
            q = expit(LIKE_BASE[kind] + LIKE_TASTE * mean)
            gradient += LIKE_TASTE * (like - q)
            precision += LIKE_TASTE**2 * q * (1.0 - q)
        # The uncertain taste adds to the noise of what the item says about the trend.
        noise = 1.0 + CLICK_TASTE**2 * variance * information
        self.taste_variance[user, t] = 1.0 / (1.0 / variance + precision)
        self.taste[user, t] = mean + self.taste_variance[user, t] * gradient
        self.trend_variance[t] = 1.0 / (1.0 / self.trend_variance[t] + information / noise)
        self.trend[t] += self.trend_variance[t] * slope / noise


def rows_by_id(items: pl.DataFrame) -> dict[int, tuple[str, str, int]]:
    """Return topic, content type and day of birth by item."""
    day = (pl.col("born") - START) // DAY
    columns = items.select("item_id", "topic", "content_type", day)
    return {i: (topic, kind, born) for i, topic, kind, born in columns.iter_rows()}
