"""A formula column: a number that is computed from other columns of a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Literal

import polars as pl
from pydantic import Field, field_validator

from crosstower.recipe.kinds.kind import Reading
from crosstower.recipe.kinds.registry import register_column
from crosstower.recipe.kinds.scaled_number import Number
from crosstower.recipe.own_columns import part_name
from crosstower.values.columns import Cells, id_cells, none_bad, number_cells
from crosstower.values.formulas import formula_of

_parsed = lru_cache(maxsize=256)(formula_of)


@register_column("formula")
class Formula(Number):
    """A number that is computed from columns of the row, such as a price per guest.

    It is a number like `numeric`, computed alike in training and in a server. Formulas are parsed,
    never run as code. A missing number makes the result missing, as does a division by zero.

    >>> Formula(expression="price / guests").sources("price_per_guest")
    ('price', 'guests')
    """

    kind: Literal["formula"] = "formula"
    expression: str = Field(
        description="Formula over data columns, such as 'price / guests', 'log1p(price) -"
        " log1p(usual_price)' or 'same(country, home_country)'."
    )

    @field_validator("expression")
    @classmethod
    def _readable(cls, given: str) -> str:
        _parsed(given)
        return given

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the data columns that the formula names."""
        formula = _parsed(self.expression)
        return tuple(dict.fromkeys((*formula.numbers, *formula.ids)))

    def readings(self, name: str) -> list[Reading]:
        """Return how the columns are read, and the number is computed from them."""
        formula = _parsed(self.expression)
        numbers = partial(_numbers, name)
        cells: list[tuple[str, Callable[[pl.Series], Cells]]] = [
            (column, numbers) for column in formula.numbers
        ]
        cells += [(column, id_cells) for column in formula.ids]
        parts = [
            Reading(part_name(name, number), column, read)
            for number, (column, read) in enumerate(cells)
        ]
        value = partial(_value, self.expression)
        return [*parts, Reading(name, name, value, tuple(part.name for part in parts))]


def _numbers(name: str, raw: pl.Series) -> Cells:
    """Return numbers; a message about a cell says which formula reads it."""
    found = number_cells(raw)
    return replace(found, expected=f"{found.expected} for the formula of '{name}'")


def _value(expression: str, *cells: pl.Series) -> Cells:
    formula = _parsed(expression)
    count = len(formula.numbers)
    values = formula.values(cells[:count], cells[count:])
    return Cells(values, none_bad(len(values)), "a number", "repair it")
