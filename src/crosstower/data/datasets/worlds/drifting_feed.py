"""A feed whose users, items and topics change over time, with clicks that depend on the position.

How users u, items i and topics t change is in `drift`. With s_ui = taste_u · vector_i:

    P(looked at) = 1/√position
    P(click | looked at) = σ(b + 1.5·s_ui + appeal_i - 0.2·age_i/lifetime + trend_t)
    P(like | click) = σ(c + 0.75·s_ui)

b is -2.5, -2 and -1.5 and c is -0.5, -1 and -2 for articles, photos and videos. A dead item, and
one that the user has clicked before, is never clicked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from crosstower.data.datasets.worlds.drift import DAY, START, Drift, HiddenState, Ints, Session
from crosstower.data.datasets.worlds.impressions import generator
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.arguments import count_of
from crosstower.recipe.schema import Categorical, Schema
from crosstower.recipe.tasks import Binary
from crosstower.values.arrays import Floats

PAGE = 10  # items that the logging policy shows in a session
LIKE_WORTH = 2.0  # clicks
_CLICK_BASE = np.array([-2.5, -2.0, -1.5])
_LIKE_BASE = np.array([-0.5, -1.0, -2.0])


class DriftingFeed:
    """A feed to simulate policies in: show lists to its users and ask for their true value.

    Equal arguments give equal users, items, sessions and responses, for any shown lists. Use one
    feed per policy, as a feed remembers clicks. Policies are then compared on common random
    numbers. `make("drifting_feed", seed=0)` has the first rows of `DriftingFeed(seed=0).log()`.

    >>> feed = DriftingFeed(seed=0, users=50, items=100)
    >>> session = feed.sessions(day=0)[0]
    >>> best = feed.best(session, k=10)
    >>> random = feed.items(day=0)["item_id"][:10].to_list()
    >>> feed.value(session, best) > feed.value(session, random)
    True
    >>> feed.respond(session, best).select("click", "like").shape
    (10, 2)

    Args:
        seed: of the world.
        users: number of users.
        items: expected number of items alive on any day.
        sessions: expected number of sessions per user and day.
        taste_memory: correlation of a taste with itself one day later, without jumps, in [0, 1].
        taste_jumps: probability per day that a user's taste is redrawn, in [0, 1].
        lifetime: expected lifetime of an item in days, at least 1.

    Raises:
        RecipeError: an argument is out of range.

    """

    def __init__(
        self,
        seed: int | np.random.Generator = 0,
        *,
        users: int = 200,
        items: int = 2_000,
        sessions: float = 2.0,
        taste_memory: float = 0.98,
        taste_jumps: float = 0.02,
        lifetime: float = 10.0,
    ) -> None:
        self.users = count_of("drifting feed: users", users, error=RecipeError)
        count_of("drifting feed: items", items, error=RecipeError)
        _check("sessions", sessions, low=0.01, high=1_000.0)
        _check("taste_memory", taste_memory, low=0.0, high=1.0)
        _check("taste_jumps", taste_jumps, low=0.0, high=1.0)
        _check("lifetime", lifetime, low=1.0, high=1e6)
        self._sessions = sessions
        root = int(generator("drifting feed", seed).integers(2**62))
        drift = Drift(taste_memory, taste_jumps, lifetime)
        self._state = HiddenState(root, users=users, items=items, drift=drift)
        self._clicked: dict[int, set[int]] = {}

    def items(self, day: int) -> pl.DataFrame:
        """Return the items alive on a day: item_id, topic, content_type and born (seconds).

        Args:
            day: from 0.

        """
        _check("day", day, low=0, high=100_000)
        ids = self._state.alive(day)
        born = START + DAY * self._state.items.born[ids]
        return self._state.items.frame(ids).with_columns(pl.Series("born", born))

    def sessions(self, day: int) -> list[Session]:
        """Return the sessions of a day by time, Poisson(`sessions`) per user.

        Args:
            day: from 0.

        """
        _check("day", day, low=0, high=100_000)
        random = self._state.random("sessions", day)
        users = np.repeat(np.arange(self.users), random.poisson(self._sessions, self.users))
        times = np.sort(random.integers(0, DAY, len(users))) + START + DAY * day
        users = random.permutation(users)
        pairs = zip(users.tolist(), times.tolist(), strict=True)
        return [Session(day * 1_000_000 + n, user, time) for n, (user, time) in enumerate(pairs)]

    def probabilities(self, session: Session, items: Sequence[int]) -> tuple[Floats, Floats]:
        """Return P(click | looked at) and P(like | click) `[k]` of items for a session.

        Args:
            session: of the feed.
            items: ids.

        Raises:
            DataError: the user or an item is unknown, or an item occurs twice.

        """
        ids = self._known(session, items)
        state, day = self._state, session.day
        fit = state.items.vector[ids] @ state.tastes(day)[session.user_id]
        kind = state.items.content_type[ids]
        click = expit(_CLICK_BASE[kind] + 1.5 * fit + state.popularity(ids, day))
        clicked = self._clicked.get(session.user_id, set())
        new = np.fromiter((i not in clicked for i in ids.tolist()), bool, len(ids))
        possible = new & state.items.is_alive(day)[ids]
        return np.where(possible, click, 0.0), expit(_LIKE_BASE[kind] + 0.75 * fit)

    def value(self, session: Session, items: Sequence[int]) -> float:
        """Return the expected worth of a list: its clicks, and each like as `LIKE_WORTH` clicks.

        Args:
            session: of the feed.
            items: ids in the order shown.

        Raises:
            DataError: the user or an item is unknown, or an item occurs twice.

        """
        click, like = self.probabilities(session, items)
        return float(_looked_at(len(click)) @ (click * (1.0 + LIKE_WORTH * like)))

    def best(self, session: Session, k: int = PAGE) -> list[int]:
        """Return the ids of the list with the highest value.

        Places are looked at less and less, so the best order is by worth when looked at.

        Args:
            session: of the feed.
            k: length of the list; shorter if fewer items are alive.

        Raises:
            DataError: the user is unknown, or k is below 1.

        """
        count_of("k", k, error=DataError)
        ids = self._state.alive(session.day)
        click, like = self.probabilities(session, ids.tolist())
        return ids[np.argsort(-click * (1.0 + LIKE_WORTH * like), kind="stable")[:k]].tolist()

    def respond(self, session: Session, items: Sequence[int]) -> pl.DataFrame:
        """Show a list and return the user's response; clicks are remembered.

        A response has one row per item: item_id, position, click, like, click_probability and
        like_probability. The probabilities include that of being looked at.

        Args:
            session: of the feed.
            items: ids in the order shown.

        Raises:
            DataError: the user or an item is unknown, or an item occurs twice.

        """
        given_look, like = self.probabilities(session, items)
        random = self._state.random("responses", session.session_id)
        looks, clicks, likes = random.random((3, len(items)))
        look = _looked_at(len(items))
        click = (looks < look) & (clicks < given_look)
        clicked = self._clicked.setdefault(session.user_id, set())
        clicked.update(i for i, yes in zip(items, click.tolist(), strict=True) if yes)
        return pl.DataFrame(
            {
                "item_id": np.asarray(items, np.int64),
                "position": np.arange(1, len(items) + 1),
                "click": click.astype(np.int8),
                "like": (click & (likes < like)).astype(np.int8),
                "click_probability": look * given_look,
                "like_probability": look * given_look * like,
            }
        )

    def log(self, rows: int, *, day: int = 0) -> pl.DataFrame:
        """Show pages drawn by popularity until there are enough rows, and return the log.

        A page is a Plackett-Luce draw with weights exp(appeal - 0.2·age/lifetime + trend) of the
        items alive that the user has not clicked. `propensity` is the probability of an item given
        those above it.

        Args:
            rows: number of rows; the last page may be cut.
            day: of the first session.

        Raises:
            DataError: `rows` is below 1.

        """
        count_of("rows", rows, error=DataError)
        pages, count = list[pl.DataFrame](), 0
        while count < rows:
            for session in self.sessions(day):
                pages.append(self._logged(session))
                count += pages[-1].height
                if count >= rows:
                    break
            day += 1
        return pl.concat(pages).head(rows)

    def _logged(self, session: Session) -> pl.DataFrame:
        ids, clicked = self._state.alive(session.day), self._clicked.get(session.user_id, set())
        new = ids[[item not in clicked for item in ids.tolist()]]
        shown, propensity = self._state.popular(new, session.session_id, session.day, PAGE)
        seen = self.respond(session, shown.tolist())
        own = {
            "session_id": np.full(len(shown), session.session_id),
            "timestamp": np.full(len(shown), session.timestamp),
            "user_id": np.full(len(shown), session.user_id),
            "propensity": propensity,
        }
        about = self._state.items.frame(shown).drop("item_id")
        return pl.concat([pl.DataFrame(own), about, seen], how="horizontal")

    def _known(self, session: Session, items: Sequence[int]) -> Ints:
        if session.user_id not in range(self.users):
            raise DataError(
                f"user {session.user_id!r}: expected a user of the feed, 0 to {self.users - 1}"
            )
        if session.day < 0:
            raise DataError(f"timestamp {session.timestamp}: expected at least {START}, day 0")
        self._state.reach(session.day)
        given, born = np.asarray(items), self._state.items.born
        if given.ndim != 1 or (len(given) and given.dtype.kind not in "iu"):
            raise DataError(f"items {items!r}: expected a list of integer ids")
        ids = given.astype(np.int64)
        known = (ids >= 0) & (ids < len(born))
        known &= born[np.where(known, ids, 0)] <= session.day
        if not known.all():
            raise DataError(
                f"item {ids[~known][0]}: does not exist on day {session.day};"
                " DriftingFeed.items gives the items of a day"
            )
        if len(np.unique(ids)) < len(ids):
            raise DataError(f"items {list(items)}: expected each item once")
        return ids


def _looked_at(k: int) -> Floats:
    return 1.0 / np.sqrt(np.arange(1, k + 1))


def _check(name: str, value: Any, *, low: float, high: float) -> None:
    if not isinstance(value, int | float) or not low <= value <= high:
        raise RecipeError(
            f"drifting feed: {name}: expected a number from {low:g} to {high:g}, got {value!r}"
        )


def drifting_feed(rows: int, random: np.random.Generator) -> pl.DataFrame:
    """Return impressions of `DriftingFeed` under its logging policy."""
    return DriftingFeed(random).log(rows)


def drifting_feed_schema() -> Schema:
    """Return columns and tasks; position and propensity are not features: no query has them."""
    return Schema(
        columns={name: Categorical() for name in ("user_id", "item_id", "topic", "content_type")},
        tasks={
            "click": Binary(true_probability="click_probability"),
            "like": Binary(true_probability="like_probability"),
        },
    )
