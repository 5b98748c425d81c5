"""Conditions on attributes in the language of Milvus, with the meaning that they have here."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from crosstower.data.filters.filter import parse_filter
from crosstower.errors import QueryError

_KINDS: dict[str, pl.DataType] = {
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "list of number": pl.List(pl.Float64()),
    "list of text": pl.List(pl.String()),
}
_SIGNS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", ">="),
    ast.LtE: ("<=", ">"),
    ast.Gt: (">", "<="),
    ast.GtE: (">=", "<"),
}


def kinds_of(attributes: pl.DataFrame) -> dict[str, str]:
    """Return the kind of values per column; dates are kept as text."""
    return {name: _kind(dtype) for name, dtype in attributes.schema.items()}


def columns_of_kinds(kinds: Mapping[str, str]) -> dict[str, pl.DataType]:
    """Return the types of columns by their kinds."""
    return {name: _KINDS[kind] for name, kind in kinds.items()}


def milvus_filter(where: str, columns: Mapping[str, pl.DataType]) -> str:
    """Return a condition as a Milvus expression over the JSON field `attributes`.

    Negations are pushed down to the comparisons, and each comparison asks for the attribute to be
    there: an item whose attribute is missing never fulfils a condition, negated or not.

    >>> columns = {"city": pl.String(), "price": pl.Int64()}
    >>> milvus_filter("not (city == 'Rome' or price > 9)", columns)
    '((exists attributes["city"] and attributes["city"] != "Rome") and
      (exists attributes["price"] and attributes["price"] <= 9))'

    Raises:
        QueryError: the condition is wrong, or asks for a distance, which Milvus cannot compute.

    """
    parse_filter(where, columns, strict=True)  # types and names are checked there
    return _condition(ast.parse(where.strip(), mode="eval").body, negated=False)


def _condition(node: ast.expr, *, negated: bool) -> str:
    match node:
        case ast.BoolOp(op=op, values=values):
            joined = "and" if isinstance(op, ast.And) is not negated else "or"
            parts = [_condition(v, negated=negated) for v in values]
            return f"({f' {joined} '.join(parts)})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _condition(operand, negated=not negated)
        case ast.Compare(left=left, ops=ops, comparators=right):
            sides = [left, *right]
            steps = zip(sides, ops, sides[1:], strict=False)
            parts = [_comparison(*step, negated=negated) for step in steps]
            return (
                parts[0] if len(parts) == 1 else f"({(' or ' if negated else ' and ').join(parts)})"
            )
        case _:  # a boolean column
            return _present(node, f"{_term(node)} == {'false' if negated else 'true'}")


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr, *, negated: bool) -> str:
    if isinstance(op, ast.In | ast.NotIn):
        inside = isinstance(op, ast.In) is not negated
        if isinstance(right, ast.List | ast.Tuple | ast.Set):
            # Spelt out: Milvus Lite knows `in` for whole fields only.
            sign, joined = ("==", " or ") if inside else ("!=", " and ")
            parts = [f"{_term(left)} {sign} {_term(item)}" for item in right.elts]
            if not parts:
                raise QueryError("an empty list in a filter: nothing is in it; name some values")
            return _present(left, f"({joined.join(parts)})")
        found = f"json_contains({_term(right)}, {_term(left)})"
        return _present(right, found if inside else f"not {found}")
    sign = _SIGNS[type(op)][negated]
    columns = [side for side in (left, right) if _is_column(side)]
    return _present(columns, f"{_term(left)} {sign} {_term(right)}")


def _present(columns: ast.expr | list[ast.expr], condition: str) -> str:
    nodes = columns if isinstance(columns, list) else [columns]
    there = [f"exists {_term(node)}" for node in nodes]
    return f"({' and '.join([*there, condition])})"


def _is_column(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id not in ("true", "false")


def _term(node: ast.expr) -> str:
    match node:
        case ast.Name(id="true" | "false" as name):
            return name
        case ast.Name(id=name):
            return f"attributes[{json.dumps(name)}]"
        case ast.Call():
            raise QueryError("distance_km: Milvus cannot compute it; use an index of this machine")
        case _:
            return json.dumps(ast.literal_eval(node))


def _kind(dtype: Any) -> str:
    if isinstance(dtype, pl.List | pl.Array):
        return f"list of {_kind(dtype.inner)}"
    if dtype.is_numeric():
        return "number"
    return "boolean" if dtype == pl.Boolean else "text"
