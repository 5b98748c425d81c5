"""A request: the candidates of one user, whose own columns are stored once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.recipe.own_columns import aged_column


@dataclass(frozen=True)
class Request(Batch):
    """A batch of B candidates for one user; every model takes it as it takes a batch.

    `shared` names the columns that have one value in all rows. Their lists have one row,
    so that a history is pooled once, and a tower that reads shared columns only runs on one row.
    Codes and numbers have B rows all the same: to look one code up B times and to copy its vector
    B times is the same work.
    """

    shared: frozenset[str]

    def __getitem__(self, rows: Tensor | slice) -> Request:
        """Return the request for the chosen candidates, in the order given."""
        lists = {
            name: column if aged_column(name) in self.shared else column[rows]
            for name, column in self.lists.items()
        }
        chosen = (self.codes[rows], self.numbers[rows], lists, self.labels[rows])
        return Request(*chosen, self.shared)
