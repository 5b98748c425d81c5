"""Team-draft interleaving: two rankings in one list, and the preference of users. No torch.

In each round a coin decides which ranking picks first; then each adds its best item that the list
lacks (Radlinski et al. 2008). A click counts for the ranking that picked the item. Both rankings
are seen by the same user at the same time, so that differences between users cancel out, which is
why far fewer users are needed than in an A/B test.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from crosstower.errors import DataError
from crosstower.evaluation.experiments.confidence_sequences import always_valid_p, half_width
from crosstower.evaluation.metrics.registry import Floats
from crosstower.values.hashing import hash_id

Item = TypeVar("Item", bound=Hashable)
PREFERENCE_SCALE = 0.1
"""Size of the preference for which the interval is narrowest."""

LEAST_USERS = 10
"""Users who clicked, below which there is no interval."""


@dataclass(frozen=True)
class Interleaved(Generic[Item]):
    """A list `[k]` and the team of each item: 0 for the first ranking, 1 for the second."""

    items: list[Item]
    teams: list[int]


def team_draft(
    first: Sequence[Item], second: Sequence[Item], k: int, *, request_id: str
) -> Interleaved[Item]:
    """Return two rankings as one list.

    >>> team_draft("abcd", "badc", 4, request_id="r1")
    Interleaved(items=['b', 'a', 'c', 'd'], teams=[1, 0, 0, 1])

    Args:
        first: items, best first, each once.
        second: items, best first, each once.
        k: length of the list; it is shorter if both rankings end before.
        request_id: seed of the coins, so that a repeated request has the same list.

    """
    random = np.random.default_rng(hash_id(request_id))
    found, rankings = Interleaved[Item]([], []), (iter(first), iter(second))
    taken = set[Item]()
    while len(found.items) < k:
        before = len(found.items)
        leader = int(random.integers(2))
        for team in (leader, 1 - leader):
            item = _next(rankings[team], taken)
            if item is not None and len(found.items) < k:
                found.items.append(item)
                found.teams.append(team)
                taken.add(item)
        if len(found.items) == before:
            break
    return found


def _next(ranking: Iterator[Item], taken: set[Item]) -> Item | None:
    return next((item for item in ranking if item not in taken), None)


@dataclass(frozen=True)
class Preference:
    """Preference for the second ranking over the first: its lead in clicks, from -1 to 1.

    `low` and `high` are the ends of the always-valid interval, NaN with too few users who clicked.
    `wins` are the numbers of users who clicked more on the first and on the second ranking, `ties`
    those who clicked equally often.
    """

    estimate: float
    standard_error: float
    low: float
    high: float
    p_value: float
    wins: tuple[int, int]
    ties: int

    @property
    def users(self) -> int:
        """Number of users who clicked."""
        return sum(self.wins) + self.ties


def preference(first_clicks: Floats, second_clicks: Floats, *, level: float = 0.95) -> Preference:
    """Return which ranking gets more of the clicks.

    The estimate is R = Σ(b - a) / Σ(b + a), where a and b are a user's clicks on items of the first
    and the second ranking. The clicks of a user are related, so users are the units of the
    variance, Σ(b - a - R (b + a))² / (Σ(b + a))² (delta method). The larger of it and its value
    at R = 0 is used, so that a few users who agree do not look certain.

    >>> preference(np.array([1.0, 0.0, 2.0]), np.array([3.0, 0.0, 2.0])).estimate
    0.25

    Args:
        first_clicks: `[U]` per user, on items of the first ranking.
        second_clicks: `[U]` on items of the second.
        level: probability that all intervals cover the truth.

    Raises:
        DataError: lengths differ, or a number is negative.

    """
    least = min(first_clicks.min(initial=0.0), second_clicks.min(initial=0.0))
    if first_clicks.shape != second_clicks.shape or least < 0.0:
        raise DataError(
            "preference: expected two arrays of 0 or more clicks, one number per user, got lengths"
            f" {len(first_clicks)} and {len(second_clicks)}"
        )
    total, lead = first_clicks + second_clicks, second_clicks - first_clicks
    users, clicks = int((total > 0.0).sum()), float(total.sum())
    wins = int((lead < 0.0).sum()), int((lead > 0.0).sum())
    ties, nan = users - sum(wins), float("nan")
    estimate = float(lead.sum()) / clicks if clicks else nan
    if users < LEAST_USERS:
        return Preference(estimate, nan, nan, nan, 1.0, wins, ties)
    squares = max(float((lead**2).sum()), float(((lead - estimate * total) ** 2).sum()))
    error = (squares * users / (users - 1)) ** 0.5 / clicks
    if error == 0.0:  # every user clicked equally often on both
        return Preference(estimate, 0.0, estimate, estimate, 1.0, wins, ties)
    reach = half_width(error, PREFERENCE_SCALE, level=level)
    p_value = always_valid_p(estimate, error, PREFERENCE_SCALE)
    return Preference(estimate, error, estimate - reach, estimate + reach, p_value, wins, ties)
