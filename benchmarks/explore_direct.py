"""Lists of the exploration benchmark that are drawn without a server, as rows of decisions.

The click rates and the columns of the rows are those of the benchmark with a server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.blending.exploration.plackett_luce import PlackettLuce
from crosstower.blending.exploration.pool import Pool
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest

SHOWN = 3
EXAMINED = (1.0, 0.7, 0.4)  # probability that a user looks at each place


def click_rate(item: int, rank: int) -> float:
    """Return the truth: the appeal of an item, at a place that is looked at less and less."""
    return (0.05 + 0.4 * (item % 11) / 10) * EXAMINED[rank - 1]


@dataclass(frozen=True)
class DrawnUser:
    """A user's pool of n candidates, and what is known of them at each of `SHOWN` ranks.

    `propensity`, `target` and `rate` are `[n, SHOWN]`: the probability of each candidate at each
    rank under the log and under the other policy, and its click rate there. `worth` is the true
    value of the other policy.
    """

    pool: Pool
    propensity: NDArray[np.float64]
    target: NDArray[np.float64]
    rate: NDArray[np.float64]
    predicted: NDArray[np.float64]

    @property
    def worth(self) -> float:
        return float((self.target * self.rate).sum() / SHOWN)


def drawn_user(
    served: OnlineFunnel, other: OnlineFunnel, user: int, explore: Any, temperature: float
) -> DrawnUser:
    """Return the pool of a user in the served bundle, ranked by the other one as well."""
    found = served.recommend(FunnelRequest(user=user, k=SHOWN))
    places = found.places[: explore.top]
    ids = served.catalogue.items.ids(places)
    pool = Pool(found.score[: explore.top], served.catalogue.popular.training_rows(places))
    ranked = other.rank(FunnelRequest(user=user), ids)
    order = np.argsort(-ranked.score, kind="stable")
    every = np.arange(len(ids))
    chances = PlackettLuce(temperature=temperature).chances(
        Pool(ranked.score[order], np.zeros(len(ids), int)), every, SHOWN
    )
    at = {item: n for n, item in enumerate(other.catalogue.items.ids(ranked.places[order]))}
    mine = [at[item] for item in ids]
    return DrawnUser(
        pool,
        np.clip(explore.chances(pool, every, SHOWN), 0.0, 1.0),
        np.clip(chances, 0.0, 1.0)[mine],
        np.array([[click_rate(item, rank + 1) for rank in range(SHOWN)] for item in ids]),
        ranked.predictions["click"][order][mine],
    )


def drawn_rows(
    users: Sequence[DrawnUser], explore: Any, lists: int, random: np.random.Generator
) -> pl.DataFrame:
    """Return decisions of lists of random users, as the evaluation of a log makes them."""
    columns: dict[str, list[NDArray[Any]]] = {}
    ranks = np.arange(SHOWN)
    for number in range(lists):
        one = users[int(random.integers(len(users)))]
        first = explore.draw(one.pool, random)[:SHOWN]
        count = len(one.pool)
        row = {
            "list": np.full(SHOWN, number),
            "slot": ranks + 1,
            "reward": (random.random(SHOWN) < one.rate[first, ranks]).astype(float),
            "propensity": one.propensity[first, ranks],
            "predicted": one.predicted[first],
            "model:target": one.target[first, ranks],
            "model:expected": one.predicted @ one.target,
            "uniform:target": np.full(SHOWN, 1.0 / count),
            "uniform:expected": np.full(SHOWN, one.predicted.mean()),
        }
        for name, values in row.items():
            columns.setdefault(name, []).append(values)
    return pl.DataFrame({name: np.concatenate(parts) for name, parts in columns.items()})
