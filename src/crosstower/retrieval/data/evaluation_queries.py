"""Evaluation queries: users or rows, their relevant items, and the items to exclude."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.relevant_counts import RelevantCounts
from crosstower.recipe.retrieval import SeenRule
from crosstower.retrieval.data.histories import Histories
from crosstower.retrieval.data.positive_rows import PositiveRows
from crosstower.values.arrays import Indices

Pairs = tuple[Indices, Indices]


@dataclass(frozen=True)
class EvaluationQueries:
    """One query per user, or per row if there are no users.

    `ids` `[Q]` are ids of users, or rows if there are no users. `rows` `[Q]` is the row of each
    query, with its query columns; `users` `[Q]` are positions in the table of users, -1 without
    users. `relevant` are the distinct (query, item) pairs to find,
    `seen` those to exclude, both ascending; `earlier` are the histories available to the query.
    `counts` is the number of relevant items in the user's history; None without users. `times`
    `[Q]` are those of the rows, in seconds since 1970; None if the rows have no time.
    """

    ids: pl.Series
    rows: Indices
    users: Indices
    relevant: Pairs
    seen: Pairs
    earlier: Histories
    counts: RelevantCounts | None = None
    times: Indices | None = None

    def __len__(self) -> int:
        """Return Q."""
        return len(self.rows)

    def history(self, query: int) -> Indices:
        """Return the places of the items in the history of a query's user."""
        return self.earlier.pairs(self.users[[query]])[1]

    def cold(self) -> NDArray[np.bool_]:
        """Return `[Q]`, True for queries of users without an earlier row."""
        lengths = np.append(self.earlier.lengths(), 0)
        return lengths[self.users] == 0


def evaluation_queries(
    positives: PositiveRows,
    split: int,
    *,
    by_user: bool,
    seen: SeenRule,
    at_most: int | None = None,
) -> EvaluationQueries:
    """Return the queries of a split; earlier splits form the users' histories.

    By the rule `seen`, a relevant item in the user's history is ignored ("ignored"), counts as
    missed by every list ("missed"), or counts like others ("shown"). A query without relevant items
    is omitted. At most `at_most` queries are sampled, the same ones for the same rows.
    """
    before = np.flatnonzero(positives.split < split) if by_user else np.empty(0, np.int64)
    earlier = Histories.of(
        positives.user[before],
        positives.item[before],
        users=len(positives.users),
        times=None if positives.times is None else positives.times[before],
    )
    rows = np.flatnonzero(positives.split == split)
    if at_most is not None:
        rows = _drawn(rows, positives.user[rows], at_most)
    return queries_from_rows(positives, rows, earlier, by_user=by_user, seen=seen)


def _drawn(rows: Indices, users: Indices, count: int) -> Indices:
    everyone = np.unique(users)
    if len(everyone) <= count:
        return rows
    chosen = np.random.default_rng(0).choice(everyone, count, replace=False)
    return rows[np.isin(users, chosen)]


def queries_from_rows(
    positives: PositiveRows,
    rows: Indices,
    earlier: Histories,
    *,
    by_user: bool,
    seen: SeenRule,
) -> EvaluationQueries:
    """Return the queries of some rows, whose users have the histories `earlier`."""
    user, first, query = np.unique(positives.user[rows], return_index=True, return_inverse=True)
    found = _queries(
        ids=positives.users.gather(user),
        rows=rows[first],
        users=user if by_user else np.full(len(user), -1),
        pairs=(query, positives.item[rows]),
        earlier=earlier,
        items=len(positives.items),
        seen=seen,
    )
    if positives.times is None:
        return found
    return replace(found, times=positives.times[found.rows])


def _queries(
    *,
    ids: pl.Series,
    rows: Indices,
    users: Indices,
    pairs: Pairs,
    earlier: Histories,
    items: int,
    seen: SeenRule,
) -> EvaluationQueries:
    wanted = np.unique(pairs[0] * items + pairs[1])
    query, item = earlier.pairs(users)
    seen_pairs = np.unique(query * items + item)
    again = np.isin(wanted, seen_pairs)
    excluded = seen_pairs[:0] if seen == "shown" else seen_pairs
    kept = wanted[~again] if seen == "ignored" else wanted
    left, number = np.unique(kept // items, return_inverse=True)  # queries with a relevant item
    place = np.full(len(rows), -1)
    place[left] = np.arange(len(left))
    excluded_query = place[excluded // items]
    counts = RelevantCounts(total=len(wanted), seen=int(again.sum()), rule=seen)
    return EvaluationQueries(
        ids=ids.gather(left),
        rows=rows[left],
        users=users[left],
        relevant=(number, kept % items),
        seen=(excluded_query[excluded_query >= 0], (excluded % items)[excluded_query >= 0]),
        earlier=earlier,
        counts=None if (users < 0).all() else counts,
    )
