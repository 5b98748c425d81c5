"""Conditions on item attributes, such as `city == "Paris" and price < 120`.

The text is parsed with Python's grammar and turned into a polars expression node by node. It is
never evaluated: anything not listed here is rejected. `parsed_filter` bounds its size.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from crosstower.data.filters.operands import ALLOWED, Operands
from crosstower.data.filters.text import parsed_filter, sorted_tree
from crosstower.data.filters.values import (
    CONSTANTS,
    family,
    inner,
    joined,
    listed,
    none_of,
    number_cells,
    spellings,
    spelt,
)
from crosstower.data.times.comparable import comparable, comparable_text, moment_of
from crosstower.values.geography import haversine_km
from crosstower.values.instants import is_temporal

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], pl.Expr]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def parse_filter(text: str, columns: Mapping[str, pl.DataType], *, strict: bool = False) -> pl.Expr:
    """Return the polars expression of a condition; a missing attribute never fulfils it.

    Text compares with a number, and in an order with text that spells one, as a number: a cell
    that is none does not fulfil it. Text compares in an order with an ISO 8601 time as a time.

    >>> columns = {"city": pl.String(), "price": pl.Float64(), "amenities": pl.List(pl.String())}
    >>> items = pl.DataFrame({"city": ["Paris", "Rome"], "price": [99.0, 80.0],
    ...                       "amenities": [["wifi"], []]})
    >>> items.select(parse_filter('city == "Paris" and price < 120', columns).alias("fits"))["fits"]
    shape: (2,)
    Series: 'fits' [bool]
    [
        true
        false
    ]

    Args:
        text: comparisons of a column with a value, `VALUE in LIST_COLUMN`, `COLUMN in [VALUES]`,
            `distance_km(LATITUDE_COLUMN, LONGITUDE_COLUMN, LATITUDE, LONGITUDE) < KM`, joined by
            and, or, not and brackets.
        columns: names and types of the attributes.
        strict: refuse a value of another type than its column, even one that spells the same.

    Raises:
        QueryError: a syntax error, an unknown column, a value of another type, or anything that is
            not a condition.

    """
    return (
        _Reader(text, columns, strict=strict).condition(_parsed(text).body).fill_null(value=False)
    )


def filter_columns(text: str) -> list[str]:
    """Return the columns that a condition names, each once.

    >>> filter_columns("click == 1 and distance_km(lat, lon, 48.9, 2.3) < 2")
    ['click', 'lat', 'lon']

    Raises:
        QueryError: a syntax error.

    """
    nodes = list(ast.walk(_parsed(text)))
    calls = [n.func for n in nodes if isinstance(n, ast.Call)]
    names = [n for n in nodes if isinstance(n, ast.Name)]
    functions = {f.id for f in calls if isinstance(f, ast.Name)}
    kept = sorted((n.col_offset, n.id) for n in names)
    return list(dict.fromkeys(n for _, n in kept if n not in CONSTANTS and n not in functions))


def canonical_filter(text: str) -> str:
    """Return one spelling for all spellings of a condition that differ in form only.

    >>> canonical_filter('price<3 and (city  == "Rome")')
    "city == 'Rome' and price < 3"

    Raises:
        QueryError: a syntax error.

    """
    return ast.unparse(sorted_tree(_parsed(text)))


def _parsed(text: str) -> ast.Expression:
    return parsed_filter(text, allowed=ALLOWED)


class _Reader(Operands):
    def condition(self, node: ast.expr) -> pl.Expr:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return joined(operator.and_, [self.condition(v) for v in values])
            case ast.BoolOp(values=values):
                return joined(operator.or_, [self.condition(v) for v in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self.condition(operand)
            case ast.Compare(left=left, ops=ops, comparators=right):
                sides = [left, *right]
                steps = zip(sides, ops, sides[1:], strict=False)
                return joined(operator.and_, [self.comparison(*step) for step in steps])
            case ast.Name(id=name) if name not in CONSTANTS:
                if self.kind(name) != pl.Boolean:
                    raise self.error(f"column '{name}' is not a condition; compare it with a value")
                return pl.col(name)
            case _:
                raise self.error(f"'{ast.unparse(node)}' is not a condition; allowed: {ALLOWED}")

    def comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> pl.Expr:
        if isinstance(op, ast.In | ast.NotIn):
            found = self.membership(left, right)
            return found if isinstance(op, ast.In) else ~found
        if type(op) not in _COMPARISONS:
            raise self.error(f"'is' is not allowed; allowed: {ALLOWED}")
        if isinstance(left, ast.Call):
            return _COMPARISONS[type(op)](self.distance(left), self.number(right))
        names = [n for n in (self.column_of(left), self.column_of(right)) if n is not None]
        if not names:
            raise self.error("a comparison needs a column on one side")
        for name in names:
            self.refuse_lists(name)
        if len(names) == 2:
            return self.of_columns(op, *names)
        flipped = self.column_of(left) is None
        return self.with_constant(names[0], op, left if flipped else right, flipped=flipped)

    def with_constant(self, name: str, op: ast.cmpop, node: ast.expr, *, flipped: bool) -> pl.Expr:
        """Compare a column with a constant, which stands on the left if `flipped`."""
        value, text = self.value(node, name), family(self.kind(name)) == "text"
        if text and isinstance(op, ast.Eq | ast.NotEq) and isinstance(value, str):
            found = self.cells(name).is_in(spellings(value))
            return found if isinstance(op, ast.Eq) else ~found
        cells, number = self.cells(name), spelt(value) if text and not self.strict else None
        if number is not None:
            cells, value = number_cells(pl.col(name), self.kind(name)), number
        kind, time = self.kind(name), self.is_time(name)
        if text and not self.strict and isinstance(value, str) and moment_of(value) is not None:
            cells, value, time = comparable_text(pl.col(name)), moment_of(value), True
        narrow = kind if isinstance(kind, pl.Float32 | pl.Float16) else None
        literal = pl.lit(value, dtype=pl.Int128 if time else narrow)
        return _COMPARISONS[type(op)](*((literal, cells) if flipped else (cells, literal)))

    def of_columns(self, op: ast.cmpop, one: str, other: str) -> pl.Expr:
        """Compare two columns: of text the cells that are both numbers as numbers."""
        compare, families = _COMPARISONS[type(op)], {family(self.kind(n)) for n in (one, other)}
        cells = self.cells(one), self.cells(other)
        if len(families) == 1 and "text" not in families:
            return compare(*cells)
        if len(families) > 1 and (self.strict or not families <= {"text", "number", "boolean"}):
            raise self.error(
                f"column '{other}' holds {self.kind(other)}, '{one}' holds {self.kind(one)};"
                " they cannot be compared"
            )
        first, second = (number_cells(pl.col(n), self.kind(n)) for n in (one, other))
        if len(families) > 1:
            return compare(first, second)
        both = first.is_not_null() & second.is_not_null()
        return pl.when(both).then(compare(first, second)).otherwise(compare(*cells))

    def membership(self, left: ast.expr, right: ast.expr) -> pl.Expr:
        if isinstance(right, ast.List | ast.Tuple | ast.Set):
            name = self.column_of(left)
            if name is None:
                raise self.error("COLUMN in [VALUES] needs a column on the left")
            self.refuse_lists(name)
            values = [self.value(item, name) for item in right.elts]
            if family(self.kind(name)) == "text":
                return self.text_in(name, values)
            typed = self.typed(values, name)
            return none_of(name) if typed.is_empty() else self.cells(name).is_in(listed(typed))
        name = self.column_of(right)
        kind = self.kind(name) if name is not None else None
        if name is None or not isinstance(kind, pl.List | pl.Array):
            raise self.error(
                f"'in {ast.unparse(right)}' needs a list such as ['a', 'b'], or a column of lists"
            )
        lists = pl.col(name) if isinstance(kind, pl.List) else pl.col(name).arr.to_list()
        if is_temporal(inner(kind)):
            lists = lists.list.eval(comparable(pl.element(), inner(kind)))
        wanted = self.value(left, name)
        if family(inner(kind)) == "text":
            lists = lists.cast(pl.List(pl.String))
            found = [lists.list.contains(pl.lit(form)) for form in spellings(wanted)]
            return joined(operator.or_, found) if found else none_of(name)
        value = self.typed([wanted], name)
        if value.is_empty():
            return none_of(name)
        return lists.list.contains(pl.lit(value[0], dtype=value.dtype))

    def text_in(self, name: str, values: Sequence[Any]) -> pl.Expr:
        """Return whether text is one of some texts, or the number that it spells one of some."""
        texts = [form for v in values if isinstance(v, str) for form in spellings(v)]
        found = self.cells(name).is_in(texts) if values else none_of(name)
        numbers = [float(v) for v in values if not isinstance(v, str)]
        if numbers:
            number = number_cells(pl.col(name), self.kind(name))
            found = found | number.is_in(numbers).fill_null(value=False)
        return found

    def distance(self, node: ast.Call) -> pl.Expr:
        called = isinstance(node.func, ast.Name) and node.func.id == "distance_km"
        if not called or len(node.args) != 4 or node.keywords:
            raise self.error(
                f"'{ast.unparse(node)}': the only function is"
                " distance_km(LATITUDE_COLUMN, LONGITUDE_COLUMN, LATITUDE, LONGITUDE)"
            )
        names = [self.column_of(argument) for argument in node.args[:2]]
        kinds = ("number",) if self.strict else ("number", "text")
        if any(name is None or family(self.kind(name)) not in kinds for name in names):
            raise self.error("distance_km: the first two arguments must be columns of degrees")
        degrees = [self.number(argument) for argument in node.args[2:]]
        if abs(degrees[0]) > 90 or abs(degrees[1]) > 180:
            raise self.error(f"distance_km: no such place on earth: {degrees[0]}, {degrees[1]}")
        known = [name or "" for name in names]
        first, second = (number_cells(pl.col(n), self.kind(n)) for n in known)
        place = first, second
        return haversine_km(place, (pl.lit(degrees[0]), pl.lit(degrees[1])))
