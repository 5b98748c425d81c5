"""The lists that the stages of a funnel make of the same candidates. NumPy and polars only.

Shapes: Q queries, C candidates, K places of a list, N items. Items are places in the catalogue,
-1 where a list is shorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.blending.diversity import rerank
from crosstower.blending.orders import order_within
from crosstower.ranking.scorer import BLEND_SCORE, PREDICTION
from crosstower.recipe.blend import Diversity
from crosstower.values.arrays import Indices

Pairs = tuple[Indices, Indices]

POPULAR, RETRIEVED, RANKED = "popular", "retrieved", "ranked"
BLENDED, DIVERSIFIED, RULED = "blended", "diversified", "ruled"
ALL_ITEMS, WITHOUT = "all items ", "without "
BEST_ORDER, PERFECT = "perfect order of the retrieved", "perfect"
STEPS = {RANKED: "ranking", BLENDED: "blending", DIVERSIFIED: "diversity", RULED: "rules"}


def stage_ranks(
    scored: pl.DataFrame, groups: Indices, *, task: str, diversity: Diversity | None = None
) -> dict[str, Indices]:
    """Return each row's rank in its group `[rows]`, 1 being first, by stage in order.

    `ranked` is by the prediction of a task; `blended`, if the rows have a blend's score, by that;
    `diversified` re-orders the first places of it. Equal scores keep the order of the rows.

    Args:
        scored: rows as `Funnel.score` gives them.
        groups: `[rows]` query that each belongs to.
        task: the ranker's task that orders.
        diversity: constraint of the blend on the first places, if there is one.

    Raises:
        DataError: a score is not finite, or a column of the diversity is missing.

    """
    ranks = {RANKED: order_within(groups, scored[f"{task}{PREDICTION}"].to_numpy())}
    if BLEND_SCORE in scored.columns:
        score = scored[BLEND_SCORE].to_numpy()
        ranks[BLENDED] = order_within(groups, score)
        if diversity is not None:
            ranks[DIVERSIFIED] = rerank(diversity, groups, score, scored)[0]
    return ranks


def lists_of(rank: Indices, query: Indices, item: Indices, *, shape: tuple[int, int]) -> Indices:
    """Return lists `[Q, K]` from the rank, the query and the item of each row.

    >>> rank, query, item = np.array([2, 1, 3]), np.array([0, 0, 0]), np.array([7, 8, 9])
    >>> lists_of(rank, query, item, shape=(2, 2)).tolist()
    [[8, 7], [-1, -1]]
    """
    shown = np.full(shape, -1, dtype=np.int64)
    first = (rank >= 1) & (rank <= shape[1])
    shown[query[first], rank[first] - 1] = item[first]
    return shown


def best_order(candidates: Indices, relevant: Pairs, k: int) -> Indices:
    """Return the first k candidates `[Q, k]` if the relevant ones came first, in their order."""
    query = np.repeat(np.arange(len(candidates)), candidates.shape[1])
    hit = are_in(relevant, (query, candidates.ravel())).reshape(candidates.shape)
    later = np.where(candidates < 0, 2, np.where(hit, 0, 1))
    order = np.argsort(later, axis=1, kind="stable")[:, :k]
    return padded(np.take_along_axis(candidates, order, axis=1), k)


def perfect(relevant: Pairs, *, queries: int, k: int) -> Indices:
    """Return the lists `[Q, k]` that contain only the relevant items."""
    order = np.argsort(relevant[0], kind="stable")
    query, item = relevant[0][order], relevant[1][order]
    rank = np.arange(len(query)) - np.searchsorted(query, query) + 1
    return lists_of(rank, query, item, shape=(queries, k))


def padded(shown: Indices, k: int) -> Indices:
    """Return the first k places of lists, made `[Q, k]` if they are shorter."""
    short = max(k - shown.shape[1], 0)
    return np.pad(shown[:, :k], ((0, 0), (0, short)), constant_values=-1)


@dataclass(frozen=True)
class Step:
    """Effect of a stage on the relevant items: how many it lost and gained, how many are left."""

    name: str
    lost: int
    gained: int
    left: int


def steps_of(
    candidates: Indices, lists: Mapping[str, Indices], relevant: Pairs
) -> tuple[Step, ...]:
    """Return where relevant items are lost, in the order of the stages.

    Retrieval loses those that are not candidates, ranking those of the rest that are not in the
    first K; blending and diversity lose some of these and gain others.

    Args:
        candidates: `[Q, C]`.
        lists: `[Q, K]` by stage; `ranked`, and `blended` and `diversified` if there are any.
        relevant: (query, item) pairs.

    """
    before = np.ones(len(relevant[0]), dtype=bool)
    steps: list[Step] = []
    stages = {"retrieval": candidates} | {STEPS[n]: lists[n] for n in STEPS if n in lists}
    for name, shown in stages.items():
        query = np.repeat(np.arange(len(shown)), shown.shape[1])
        now = are_in((query, shown.ravel()), relevant)
        lost, gained = int((before & ~now).sum()), int((~before & now).sum())
        steps.append(Step(name, lost, gained, int(now.sum())))
        before = now
    return tuple(steps)


def are_in(pairs: Pairs, wanted: Pairs) -> NDArray[np.bool_]:
    """Return which of the wanted (query, item) pairs are among `pairs`; item -1 never is."""
    width = int(max(pairs[1].max(initial=0), wanted[1].max(initial=0))) + 2
    known, sought = (query * width + item + 1 for query, item in (pairs, wanted))
    return np.isin(sought, known) & (wanted[1] >= 0)
