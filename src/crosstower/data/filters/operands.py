"""The columns and constants of a condition: their types, and whether these fit."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from crosstower.data.filters.text import named
from crosstower.data.filters.values import (
    CONSTANTS,
    Constant,
    constant_of,
    converted,
    family,
    family_of_value,
    inner,
    number_cells,
    text_cells,
)
from crosstower.data.times.comparable import comparable, moment_of
from crosstower.errors import QueryError, did_you_mean
from crosstower.values.instants import is_temporal

ALLOWED = (
    "==, !=, <, <=, >, >=, in, not in, and, or, not, numbers, texts, times as ISO 8601 text, true,"
    " false, lists and"
    " distance_km(LATITUDE_COLUMN, LONGITUDE_COLUMN, LATITUDE, LONGITUDE)"
)


class Operands:
    """Operands of a condition, with the types of `columns`; `strict` converts no value."""

    def __init__(self, text: str, columns: Mapping[str, pl.DataType], *, strict: bool) -> None:
        self.text, self.columns, self.strict = text, columns, strict

    def typed(self, values: Sequence[Any], name: str) -> pl.Series:
        """Return values in the type of a column, without those that it cannot hold."""
        kind = inner(self.kind(name))
        if is_temporal(kind):
            return pl.Series(values, dtype=pl.Int128)
        if not kind.is_numeric():
            return pl.Series(values, dtype=pl.Boolean if kind == pl.Boolean else pl.String)
        if not kind.is_integer():
            return pl.Series([float(v) for v in values], dtype=pl.Float64).cast(kind, strict=False)
        if broken := [v for v in values if v != int(v)]:
            raise self.error(f"column '{name}' holds {kind}, got {broken[0]!r}")
        whole = pl.Series([int(v) for v in values if abs(v) < 2**64], dtype=pl.Int128)
        return whole.cast(kind, strict=False).drop_nulls()

    def refuse_lists(self, name: str) -> None:
        """Reject a column of lists where single values are compared."""
        if isinstance(self.kind(name), pl.List | pl.Array):
            raise self.error(
                f"column '{name}' holds lists; write VALUE in {name}, or VALUE not in {name}"
            )

    def number(self, node: ast.expr) -> float:
        """Return a constant that is a number."""
        value = self.constant(node)
        if isinstance(value, bool | str):
            raise self.error(f"expected a number, got {value!r}")
        return float(value)

    def cells(self, name: str) -> pl.Expr:
        """Return a column's cells as they are compared."""
        kind = self.kind(name)
        if self.is_time(name):
            return comparable(pl.col(name), kind)
        if family(kind) == "text":
            return text_cells(pl.col(name), kind)
        return number_cells(pl.col(name), kind) if kind.is_numeric() else pl.col(name)

    def is_time(self, name: str) -> bool:
        """Return whether a column holds times."""
        return is_temporal(self.kind(name))

    def column_of(self, node: ast.expr) -> str | None:
        """Return the column that a node names, None if it names none."""
        if isinstance(node, ast.Name) and node.id not in CONSTANTS:
            self.kind(node.id)
            return node.id
        return None

    def kind(self, name: str) -> pl.DataType:
        """Return the type of a column."""
        if name not in self.columns:
            known = list(self.columns)
            raise self.error(
                f"no column '{name}'{did_you_mean(name, known)}; the items have: {', '.join(known)}"
            )
        return self.columns[name]

    def value(self, node: ast.expr, column: str) -> Any:
        """Return a constant that fits the type of `column`, or of the values in its lists."""
        value = self.constant(node)
        held = inner(self.kind(column))
        if is_temporal(held):
            moment = moment_of(value) if isinstance(value, str) else None
            if moment is None:
                raise self.error(
                    f"column '{column}' holds {held}, got {value!r}; write an ISO 8601 time such"
                    ' as "2024-03-01" or "2024-03-01T10:30:00Z"'
                )
            return moment
        fitting = value if family_of_value(value) == family(held) else None
        if fitting is None and not self.strict:
            fitting = converted(value, family(held))
        if fitting is None:
            raise self.error(f"column '{column}' holds {held}, got {value!r}")
        return fitting

    def constant(self, node: ast.expr) -> Constant:
        """Return the value of a constant."""
        value = constant_of(node)
        if value is None:
            raise self.error(f"'{ast.unparse(node)}' is not a value; allowed: {ALLOWED}")
        return value

    def error(self, words: str) -> QueryError:
        """Return an error that shows the condition."""
        return QueryError(f"{named(self.text)}: {words}")
