"""Questions with known answers: who asks, what is to be found, what is not to be shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.answer_counts import AnswerCounts
from crosstower.recipe.retrieval import SeenRule
from crosstower.retrieval.data.histories import Histories
from crosstower.retrieval.data.positive_rows import PositiveRows
from crosstower.values.arrays import Indices

Pairs = tuple[Indices, Indices]


@dataclass(frozen=True)
class EvaluationQueries:
    """One question a user, or one a row where there are no users.

    `rows` `[Q]` is a row of each question, whose query columns it has; `users` `[Q]` are places in
    the table of users, -1 where rows ask for themselves. `relevant` are the distinct (question,
    item) pairs to find, `seen` those not to be shown, both ascending; `earlier` are the histories
    that may be looked at. `counts` says how many answers the user already had; None where rows ask
    for themselves.
    """

    asked: pl.Series
    rows: Indices
    users: Indices
    relevant: Pairs
    seen: Pairs
    earlier: Histories
    counts: AnswerCounts | None = None

    def __len__(self) -> int:
        """Return Q."""
        return len(self.rows)

    def cold(self) -> NDArray[np.bool_]:
        """Return `[Q]`, which ones come from users without an earlier row."""
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
    """Return the questions of a split; earlier splits are what users have had before.

    By the rule `seen`, an answer that the user already had is no answer ("ignored"), an answer
    that no list holds ("missed"), or one like others ("shown"). A question without any is left
    out. Of more askers than `at_most` so many are drawn by chance, the same ones for the same rows.
    """
    before = np.flatnonzero(positives.split < split) if by_user else np.empty(0, np.int64)
    earlier = Histories.of(
        positives.user[before], positives.item[before], users=len(positives.users)
    )
    rows = np.flatnonzero(positives.split == split)
    if at_most is not None:
        rows = _drawn(rows, positives.user[rows], at_most)
    return queries_from_rows(positives, rows, earlier, by_user=by_user, seen=seen)


def _drawn(rows: Indices, askers: Indices, count: int) -> Indices:
    everyone = np.unique(askers)
    if len(everyone) <= count:
        return rows
    chosen = np.random.default_rng(0).choice(everyone, count, replace=False)
    return rows[np.isin(askers, chosen)]


def queries_from_rows(
    positives: PositiveRows,
    rows: Indices,
    earlier: Histories,
    *,
    by_user: bool,
    seen: SeenRule,
) -> EvaluationQueries:
    """Return the questions of some rows whose users have had `earlier` before."""
    asker, first, question = np.unique(positives.user[rows], return_index=True, return_inverse=True)
    return _queries(
        asked=positives.users.gather(asker),
        rows=rows[first],
        users=asker if by_user else np.full(len(asker), -1),
        answers=(question, positives.item[rows]),
        earlier=earlier,
        items=len(positives.items),
        seen=seen,
    )


def _queries(
    *,
    asked: pl.Series,
    rows: Indices,
    users: Indices,
    answers: Pairs,
    earlier: Histories,
    items: int,
    seen: SeenRule,
) -> EvaluationQueries:
    wanted = np.unique(answers[0] * items + answers[1])
    question, item = earlier.pairs(users)
    seen_pairs = np.unique(question * items + item)
    again = np.isin(wanted, seen_pairs)
    excluded = seen_pairs[:0] if seen == "shown" else seen_pairs
    kept = wanted[~again] if seen == "ignored" else wanted
    left, number = np.unique(kept // items, return_inverse=True)  # questions with an answer
    place = np.full(len(rows), -1)
    place[left] = np.arange(len(left))
    asks = place[excluded // items]
    counts = AnswerCounts(total=len(wanted), seen=int(again.sum()), rule=seen)
    return EvaluationQueries(
        asked=asked.gather(left),
        rows=rows[left],
        users=users[left],
        relevant=(number, kept % items),
        seen=(asks[asks >= 0], (excluded % items)[asks >= 0]),
        earlier=earlier,
        counts=None if (users < 0).all() else counts,
    )
