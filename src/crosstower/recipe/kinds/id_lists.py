"""Lists of ids per row: shared parts of bags and sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.kinds.coded import Coded, TableLearner
from crosstower.recipe.kinds.kind import ListField
from crosstower.values.codes import Codes, Table
from crosstower.values.columns import Cells
from crosstower.values.lists import id_list_cells


@dataclass(frozen=True)
class ListState:
    """The table of a column of lists, and the maximum length of a list."""

    table: Table
    length: int


class _Length(FrozenModel):
    length: int = Field(ge=1)


@dataclass
class ListLearner:
    """Learns the table from the values of all lists, and the longest list up to `limit`."""

    table: TableLearner
    limit: int | None
    longest: int = 1
    kept: int | None = None

    def memory(self) -> None:
        """Return nothing: the table and the length are in the state."""

    def recall(self, memory: None, state: ListState) -> None:
        """Keep the length of lists."""
        self.kept = state.length

    def add(self, values: pl.Series) -> None:
        """Add the lists of one chunk."""
        self.longest = max(self.longest, int(values.list.len().max() or 0))  # type: ignore[arg-type]
        self.table.add(values.explode(empty_as_null=False, keep_nulls=False))

    def merge(self, other: ListLearner) -> None:
        """Add the longest list of other rows."""
        self.longest = max(self.longest, other.longest)

    def finish(self) -> ListState:
        """Return the table and the length."""
        length = self.longest if self.limit is None else min(self.longest, self.limit)
        length = self.kept or length
        return ListState(self.table.finish(), length)


class ListColumn(Coded):
    """Options and encoding of columns with a list of ids per row."""

    keep_last: ClassVar[bool] = False
    """Whether a list that is too long keeps its last values, not its first."""

    separator: str | None = Field(
        default=None, min_length=1, description="Separator of a text column."
    )
    max_len: Any = None
    pooling: Any = "mean"

    def reader(self) -> Callable[[pl.Series], Cells]:
        """Return the reader of lists of ids."""
        return partial(id_list_cells, separator=self.separator)

    def learner_of(self, table: TableLearner) -> ListLearner:
        """Return the learner of the table and the length of lists."""
        return ListLearner(table, self.max_len)

    def table_of(self, state: ListState) -> Table | None:
        """Return the vocabulary or the hash buckets, unless another column owns them."""
        return state.table if self.table is None else None

    def plain_state(self, state: ListState) -> Any:
        """Return the length of lists."""
        return {"length": state.length}

    def state_from(self, plain: Any, table: Table | None) -> ListState | None:
        """Return the table and the length of lists."""
        length = _Length.model_validate(plain).length
        return None if table is None else ListState(table, length)

    def inputs(self, name: str, state: ListState) -> ListField:
        """Return a field with a list of codes per row."""
        owner = self.table or name
        return ListField(
            name,
            state.table.size,
            owner,
            state.length,
            self.pooling,
            self.dim,
            options=tuple(self.pooling_options().items()),
        )

    def pooling_options(self) -> dict[str, float]:
        """Return the options of the pooling that are given."""
        return {}

    def coder(self, state: ListState) -> Callable[[pl.Series], tuple[Codes, NDArray[np.int64]]]:
        """Return the coder that looks up the ids of lists."""

        def encode(lists: pl.Series) -> tuple[Codes, NDArray[np.int64]]:
            return list_codes(lists, state, keep_last=self.keep_last)

        return encode


def list_codes(
    lists: pl.Series, state: ListState, *, keep_last: bool
) -> tuple[Codes, NDArray[np.int64]]:
    """Return the codes of B lists, one after the other, and their number per list `[B]`.

    A list that is too long keeps its last or first values. A null is an empty list.
    """
    kept = lists.list.tail(state.length) if keep_last else lists.list.head(state.length)
    counts = kept.list.len().fill_null(0).to_numpy().astype(np.int64)
    return state.table.encode(kept.explode(empty_as_null=False, keep_nulls=False)), counts
