"""Values that conditions compare: cells as numbers or as text, and matching constants.

Text that spells numbers, such as every column of a CSV file, compares with numbers as numbers.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from crosstower.values.columns import text_of
from crosstower.values.ids import id_of
from crosstower.values.instants import is_temporal

Constant = bool | int | float | str
CONSTANTS = {"true": True, "false": False}


def constant_of(node: ast.expr) -> Constant | None:
    """Return the value of a constant in a condition; None of anything else."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Name(id=name):
            return CONSTANTS.get(name)
        case _:
            return None


def text_cells(cells: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Return the cells of a text, categorical or binary column as text."""
    if isinstance(kind, pl.Binary):
        return cells.map_batches(text_of, return_dtype=pl.String)
    return cells if isinstance(kind, pl.String) else cells.cast(pl.String)


def number_cells(cells: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Return cells as numbers, missing where they are none; `true` and `false` are 1 and 0."""
    if kind.is_float():
        return cells.fill_nan(None)
    if kind.is_numeric():
        return cells
    if isinstance(kind, pl.Boolean):
        return cells.cast(pl.Float64)
    text = text_cells(cells, kind).str.strip_chars()
    number = text.cast(pl.Float64, strict=False).fill_nan(None)
    flag = text.str.to_lowercase()
    return (
        pl.when(number.is_null() & (flag == "true"))
        .then(1.0)
        .when(number.is_null() & (flag == "false"))
        .then(0.0)
        .otherwise(number)
    )


def spelt(value: Constant) -> int | float | None:
    """Return the number that a constant is or spells; None if it is none.

    >>> [spelt(value) for value in (4, " 4.50", True, "false", "four")]
    [4, 4.5, 1, 0, None]
    """
    if not isinstance(value, str):
        return int(value) if isinstance(value, bool) else value
    found = id_of(value)
    if isinstance(found, int):
        return found
    if found in ("true", "false"):
        return int(found == "true")
    number = pl.Series([value.strip()]).cast(pl.Float64, strict=False)[0]
    return number if number is not None and math.isfinite(number) else None


def spellings(value: Constant) -> list[str]:
    """Return the ways in which a file may spell a canonical id.

    >>> spellings(7)
    ['7', '7.0']
    """
    found = id_of(value) if not isinstance(value, float) or value.is_integer() else value
    texts = [str(found)] if found is not None else []
    if isinstance(value, str):
        texts.append(value)
    if isinstance(found, int):
        texts.append(f"{found}.0")
    if found in ("true", "false"):
        texts += [str(found).title(), str(found).upper()]
    return list(dict.fromkeys(texts))


def flag_of(value: Any) -> bool | None:
    """Return the boolean that a constant is or spells; None if it is none."""
    number = spelt(value)
    return bool(number) if number in (0, 1) else None


def none_of(name: str) -> pl.Expr:
    """Return a condition that no cell fulfils; missing ones stay missing."""
    return pl.when(pl.col(name).is_not_null()).then(statement=False)


def listed(values: pl.Series) -> pl.Expr:
    """Return values as one list, for `is_in`."""
    return pl.lit(values).implode()


def inner(kind: Any) -> Any:
    """Return the type of the elements of lists, any other type as it is."""
    return kind.inner if isinstance(kind, pl.List | pl.Array) else kind


def family(kind: Any) -> str:
    """Return the kind of a type: number, time, text or boolean."""
    if kind.is_numeric():
        return "number"
    if is_temporal(kind):
        return "time"
    text = dict.fromkeys((pl.String, pl.Categorical, pl.Enum, pl.Binary), "text")
    return (text | {pl.Boolean: "boolean"}).get(kind.base_type(), str(kind))


def converted(value: Any, family: str) -> Any:
    """Return a constant as a value of another family; None if it is none there."""
    if family == "boolean":
        return flag_of(value)
    return {"number": spelt(value), "text": value}.get(family)


def family_of_value(value: object) -> str:
    """Return the kind of a constant: number, text or boolean."""
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def joined(join: Callable[[pl.Expr, pl.Expr], pl.Expr], parts: Sequence[pl.Expr]) -> pl.Expr:
    """Join conditions pairwise: polars takes quadratic time for a chain that leans to one side."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        left = parts[len(parts) // 2 * 2 :]
        parts = [*(join(one, other) for one, other in pairs), *left]
    return parts[0]
