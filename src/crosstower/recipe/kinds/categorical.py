"""A categorical column: one value per row from a set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import polars as pl

from crosstower.errors import DataError
from crosstower.recipe.kinds.coded import Coded, TableLearner
from crosstower.recipe.kinds.kind import CodeField
from crosstower.recipe.kinds.registry import register_column
from crosstower.values.codes import MISSING, Codes, Table
from crosstower.values.columns import Cells, id_cells
from crosstower.values.ids import id_of


@register_column("categorical")
class Categorical(Coded):
    """One value per row from a set, such as a user id or a city.

    Values are integers, strings, booleans or dates.

    >>> city = Categorical(vocabulary=("Bonn", "Ulm"))
    >>> city.coder(city.learner().finish())(pl.Series(["Ulm", "Rome", None])).tolist()
    [4, 2, 1]
    """

    kind: Literal["categorical"] = "categorical"

    @property
    def has_code(self) -> bool:
        """Whether the column has one code per row: always."""
        return True

    def reader(self) -> Callable[[pl.Series], Cells]:
        """Return the reader of ids."""
        return id_cells

    def learner_of(self, table: TableLearner) -> TableLearner:
        """Return the learner of the table, which is the state."""
        return table

    def table_of(self, state: Table) -> Table | None:
        """Return the state, unless another column owns it."""
        return state if self.table is None else None

    def state_from(self, plain: Any, table: Table | None) -> Table | None:
        """Return the table."""
        return table

    def inputs(self, name: str, state: Table) -> CodeField:
        """Return a field with one code per row."""
        return CodeField(name, state.size, self.table or name, self.dim)

    def coder(self, state: Table) -> Callable[[pl.Series], Codes]:
        """Return the coder that looks ids up."""
        return state.encode

    def value_coder(self, state: Table) -> Callable[[Any], int | None]:
        """Return a function that looks one value up."""

        def code_of(value: Any) -> int | None:
            try:
                found = id_of(value)
            except DataError:
                return None  # the way of files says where the value is
            return MISSING if found is None else state.code_of(found)

        return code_of
