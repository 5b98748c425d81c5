"""The lists that a blend is measured on, and the limits of such a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from crosstower.blending.columns import types_of
from crosstower.errors import DataError, did_you_mean
from crosstower.recipe.blend import ANY_OTHER, Blend


@dataclass(frozen=True)
class Lists:
    """Statistics of lists, one per value of column `user`.

    `without` counts rows without a value, which are in no list; `ordered` counts lists of more than
    one row, `short` those of at most k.
    """

    user: str
    k: int
    rows: int
    without: int
    count: int
    ordered: int
    short: int

    @property
    def comparable(self) -> bool:
        """Whether the lists can distinguish orders beyond their noise."""
        return self.ordered > 1

    def words(self) -> list[str]:
        """Return sentences about the limits of the lists, the most severe first."""
        words = list[str]()
        if self.ordered == 0:
            words.append(
                f"Each of the {self.count:,} lists by {self.user} has one row: any order of them is"
                " the same, and the metrics say nothing about the blend; name a column that several"
                " rows share."
            )
        elif self.ordered == 1:
            words.append(
                f"One list by {self.user} has more than one row: its metrics have no measure of"
                " noise, so orders are not compared."
            )
        if self.short == self.count and self.ordered:
            words.append(
                f"No list has more than {self.k} rows, so the first {self.k} are the same rows in"
                " every order: totals are equal by construction, and only NDCG distinguishes"
                " orders. Give a smaller -k."
            )
        elif 2 * self.short > self.count and self.ordered:
            words.append(
                f"{self.short:,} of {self.count:,} lists have at most {self.k} rows, which are the"
                " same in every order: they add nothing to differences of totals."
            )
        if self.without:
            words.append(
                f"{self.without:,} of {self.rows:,} test rows have no {self.user} and are in no"
                " list."
            )
        return words


def lists_of(users: pl.Series, k: int) -> Lists:
    """Return the lists of test rows by the column of their user.

    Raises:
        DataError: no row has a user.

    """
    sizes = users.drop_nulls().value_counts()["count"]
    if sizes.len() == 0:
        raise DataError(
            f"column '{users.name}': none of the {len(users):,} test rows has a value, so there is"
            " no list to order; give --user (in Python: user) a column with values"
        )
    return Lists(
        user=users.name,
        k=k,
        rows=len(users),
        without=users.null_count(),
        count=len(sizes),
        ordered=int((sizes > 1).sum()),
        short=int((sizes <= k).sum()),
    )


def blend_words(blend: Blend, frames: Sequence[pl.DataFrame]) -> list[str]:
    """Return sentences about parts of a blend that look like mistakes.

    Args:
        blend: in its final form.
        frames: the validation and the test rows.

    """
    words = [
        f"The weight of {task} is negative ({weight:g}): the more of it is predicted, the lower a"
        " row stands."
        for task, weight in blend.weights.items()
        if weight < 0.0
    ]
    diversity = blend.diversity
    if diversity is None or diversity.by is None:
        return words
    for name in diversity.caps:
        if name != ANY_OTHER:
            words += _unknown(diversity.by, name, frames)
    return words


def _unknown(column: str, value: str, frames: Sequence[pl.DataFrame]) -> list[str]:
    """Return the sentence about a cap on a value that no row has."""
    known = pl.concat([types_of(frame, column) for frame in frames]).drop_nulls().unique().sort()
    if value in known:
        return []
    hint = did_you_mean(value, known.to_list())
    words = f"The cap of {column} '{value}' has no effect here: no validation or test row has that"
    return [f"{words} value{hint or '.'}"]
