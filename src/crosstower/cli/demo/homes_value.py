"""The true value of the lists of holiday homes, per stage and per user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.datasets.worlds.holiday_homes import holiday_revenue
from crosstower.data.progress import OnProgress
from crosstower.funnel.evaluation import funnel_lists
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.queries import FunnelQueries, queries_of_run
from crosstower.funnel.report import TRUE_VALUE, Lift, Stage, lifts_of, stages_of
from crosstower.funnel.stages import BLENDED, POPULAR, RANKED, RETRIEVED
from crosstower.values.arrays import Indices

K = 10
STAGES = (POPULAR, RETRIEVED, RANKED, BLENDED)
METRIC = f"{TRUE_VALUE}@{K}"


@dataclass(frozen=True)
class HomesValue:
    """Expected revenue of the first ten homes, of Q test users.

    `users` `[Q]` are their ids, `values` `[Q]` by stage the revenue of each list, and `best` `[Q]`
    that of the best list of all homes. `stages` and `lifts` have the means with their intervals.
    """

    users: list[str]
    values: dict[str, NDArray[np.float64]]
    best: NDArray[np.float64]
    stages: tuple[Stage, ...]
    lifts: tuple[Lift, ...]


def homes_value(funnel: Funnel, on_progress: OnProgress) -> HomesValue:
    """Return the true value of the lists of each stage for the test users of a funnel."""
    queries = queries_of_run(funnel, (), on_progress)
    # No limit is left for ranking all homes, which this table does not show.
    shown = funnel_lists(funnel, queries, k=K, limit=0, on_progress=on_progress).shown
    values = {name: _revenue(funnel, queries, shown[name]) for name in STAGES}
    metrics = {name: {METRIC: worth} for name, worth in values.items()}
    return HomesValue(
        users=queries.evaluation.ids.cast(pl.String).to_list(),
        values=values,
        best=_best(funnel, queries),
        stages=stages_of(metrics),
        lifts=lifts_of(metrics),
    )


def _revenue(funnel: Funnel, queries: FunnelQueries, shown: Indices) -> NDArray[np.float64]:
    """Return the expected revenue of each list `[Q]`."""
    query, place = np.nonzero(shown >= 0)
    rows = funnel.rows.whole(queries.columns, query, shown[query, place])
    return np.bincount(query, weights=holiday_revenue(rows), minlength=len(shown)).astype(float)


def _best(funnel: Funnel, queries: FunnelQueries) -> NDArray[np.float64]:
    """Return the revenue of the best list `[Q]`, without the homes of the history."""
    users, homes = len(queries), len(funnel.rows.items)
    query, home = np.divmod(np.arange(users * homes), homes)
    revenue = holiday_revenue(funnel.rows.whole(queries.columns, query, home))
    worth = revenue.reshape(users, homes)
    worth[queries.evaluation.seen] = 0.0
    return -np.sort(-worth, axis=1)[:, :K].sum(axis=1)
