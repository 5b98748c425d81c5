"""Questions with known answers: who asks, what is to be found, what is not to be shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.histories import Histories
from crosstower.data.positive_rows import PositiveRows

Places = NDArray[np.int64]
Pairs = tuple[Places, Places]


@dataclass(frozen=True)
class Questions:
    """One question a user, or one a row where there are no users.

    `rows` `[Q]` is a row of each question, whose query columns it has; `users` `[Q]` are places in
    the table of users, -1 where rows ask for themselves. `relevant` are the distinct (question,
    item) pairs to find, `seen` those not to be shown, both ascending; `earlier` are the histories
    that may be looked at. `already_seen` counts answers left out as seen.
    """

    asked: pl.Series
    rows: Places
    users: Places
    relevant: Pairs
    seen: Pairs
    earlier: Histories
    already_seen: int = 0

    def __len__(self) -> int:
        """Return Q."""
        return len(self.rows)

    def cold(self) -> NDArray[np.bool_]:
        """Return `[Q]`, which ones come from users without an earlier row."""
        lengths = np.append(self.earlier.lengths(), 0)
        return lengths[self.users] == 0


def questions_of(
    positives: PositiveRows,
    split: int,
    *,
    by_user: bool,
    exclude_seen: bool,
    at_most: int | None = None,
) -> Questions:
    """Return the questions of a split; earlier splits are what users have had before.

    An answer that a user has had before, and is not to be shown again, is no answer; a question
    without any is left out. Of more askers than `at_most` so many are drawn by chance, the same
    ones for the same rows.
    """
    before = np.flatnonzero(positives.split < split) if by_user else np.empty(0, np.int64)
    earlier = Histories.of(
        positives.user[before], positives.item[before], users=len(positives.users)
    )
    rows = np.flatnonzero(positives.split == split)
    if at_most is not None:
        rows = _drawn(rows, positives.user[rows], at_most)
    return ask(positives, rows, earlier, by_user=by_user, exclude_seen=exclude_seen)


def _drawn(rows: Places, askers: Places, count: int) -> Places:
    everyone = np.unique(askers)
    if len(everyone) <= count:
        return rows
    chosen = np.random.default_rng(0).choice(everyone, count, replace=False)
    return rows[np.isin(askers, chosen)]


def ask(
    positives: PositiveRows,
    rows: Places,
    earlier: Histories,
    *,
    by_user: bool,
    exclude_seen: bool,
) -> Questions:
    """Return the questions of some rows whose users have had `earlier` before."""
    asker, first, question = np.unique(positives.user[rows], return_index=True, return_inverse=True)
    return _questions(
        asked=positives.users.gather(asker),
        rows=rows[first],
        users=asker if by_user else np.full(len(asker), -1),
        answers=(question, positives.item[rows]),
        earlier=earlier,
        items=len(positives.items),
        exclude_seen=exclude_seen,
    )


def _questions(
    *,
    asked: pl.Series,
    rows: Places,
    users: Places,
    answers: Pairs,
    earlier: Histories,
    items: int,
    exclude_seen: bool,
) -> Questions:
    wanted = np.unique(answers[0] * items + answers[1])
    seen = np.empty(0, np.int64)
    if exclude_seen:
        question, item = earlier.pairs(users)
        seen = np.unique(question * items + item)
    kept = wanted[~np.isin(wanted, seen)]
    left, number = np.unique(kept // items, return_inverse=True)  # questions with an answer
    place = np.full(len(rows), -1)
    place[left] = np.arange(len(left))
    asks = place[seen // items] if len(seen) else seen
    return Questions(
        asked=asked.gather(left),
        rows=rows[left],
        users=users[left],
        relevant=(number, kept % items),
        seen=(asks[asks >= 0], (seen % items)[asks >= 0]),
        earlier=earlier,
        already_seen=len(wanted) - len(kept),
    )
