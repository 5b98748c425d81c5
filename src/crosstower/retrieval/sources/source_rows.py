"""The training rows for fitting sources. Shapes: R rows, U users, N items."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from crosstower.data.split import SPLITS
from crosstower.recipe.own_columns import raw_name, time_name
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import order_of
from crosstower.retrieval.baselines.baseline import Baseline
from crosstower.retrieval.baselines.fit_baselines import fitted_baseline
from crosstower.retrieval.data.histories import Histories
from crosstower.retrieval.data.items import ItemTable
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.values.arrays import Indices
from crosstower.values.columns import to_ids
from crosstower.values.instants import SECOND


@dataclass(frozen=True)
class SourceRows:
    """Training rows of a retrieval recipe; with `training.refit`, those of train and valid.

    Args:
        recipe: with a retrieval section.
        data: of the training.

    """

    recipe: Recipe
    data: RetrievalData

    @property
    def items(self) -> ItemTable:
        """The items, with ids and attributes."""
        return self.data.items

    @cached_property
    def histories(self) -> Histories:
        """The histories of U users, oldest item first."""
        refit = self.recipe.training.refit
        return (self.data.with_valid() if refit else self.data).train

    @property
    def shape(self) -> tuple[int, int]:
        """(U, N)."""
        return len(self.data.rows.users), len(self.items)

    @property
    def pairs(self) -> tuple[Indices, Indices]:
        """The (user, item) pairs of the histories."""
        return self.histories.pairs(np.arange(self.shape[0]))

    @cached_property
    def _kept(self) -> Indices:
        """Places of the rows among all positives; rows that only extend histories do not count."""
        split = self.data.rows.split
        last = SPLITS.index("valid") if self.recipe.training.refit else SPLITS.index("train")
        return np.flatnonzero((split >= 0) & (split <= last))

    @property
    def item(self) -> Indices:
        """The item of each row `[R]`, as a place in the catalogue."""
        return self.data.rows.item[self._kept]

    def counts(self, rows: Indices | None = None) -> Indices:
        """Return the number of rows of each item `[N]`, of all rows or of those given."""
        item = self.item if rows is None else self.item[rows]
        return np.bincount(item, minlength=len(self.items)).astype(np.int64)

    @cached_property
    def segment(self) -> pl.Series | None:
        """The segment of each row `[R]` as an id, None if the recipe has no segment."""
        name = retrieval_section_of(self.recipe).segment
        if name is None:
            return None
        return to_ids(name, self.data.rows.frame[raw_name(name)])[self._kept]

    @cached_property
    def seconds(self) -> pl.Series | None:
        """The time of each row `[R]` in seconds since 1970; None if the rows have no times."""
        name = retrieval_section_of(self.recipe).time or order_of(self.recipe.data.split)
        column = None if name is None else time_name(name)
        frame = self.data.rows.frame
        if column not in frame.columns or self.data.facts.until is None:
            return None
        return (frame[column][self._kept] / SECOND).cast(pl.Float64)

    def baseline(self, name: str) -> Baseline:
        """Return a baseline of the report, fitted on the rows."""
        return fitted_baseline(name, self.recipe, self.data)
