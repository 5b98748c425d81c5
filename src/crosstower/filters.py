"""Conditions on item attributes, such as `city == "Paris" and price < 120`.

The text is parsed with Python's grammar and turned into a polars expression node by node. It is
never evaluated: whatever is not listed here is refused. `filter_text` bounds its size.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from crosstower.errors import QueryError, did_you_mean
from crosstower.filter_text import named, parsed_filter, sorted_tree
from crosstower.geography import haversine_km
from crosstower.times.comparable import comparable, moment_of
from crosstower.times.instants import is_temporal

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], pl.Expr]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ALLOWED = (
    "==, !=, <, <=, >, >=, in, not in, and, or, not, numbers, texts, times as ISO 8601 text, true,"
    " false, lists and"
    " distance_km(LATITUDE_COLUMN, LONGITUDE_COLUMN, LATITUDE, LONGITUDE)"
)
_CONSTANTS = {"true": True, "false": False}


def parse_filter(text: str, columns: Mapping[str, pl.DataType]) -> pl.Expr:
    """Return the polars expression of a condition; a missing attribute never fulfils it.

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

    Raises:
        QueryError: a syntax error, an unknown column, a value of another type, or anything that is
            not a condition.

    """
    return _Reader(text, columns).condition(_parsed(text).body).fill_null(value=False)


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
    return list(dict.fromkeys(n for _, n in kept if n not in _CONSTANTS and n not in functions))


def canonical_filter(text: str) -> str:
    """Return one spelling for all spellings of a condition that differ in form only.

    >>> canonical_filter('price<3 and (city  == "Rome")')
    "city == 'Rome' and price < 3"

    Raises:
        QueryError: a syntax error.

    """
    return ast.unparse(sorted_tree(_parsed(text)))


def _parsed(text: str) -> ast.Expression:
    return parsed_filter(text, allowed=_ALLOWED)


def _joined(join: Callable[[pl.Expr, pl.Expr], pl.Expr], parts: Sequence[pl.Expr]) -> pl.Expr:
    """Join conditions pairwise: polars takes quadratic time for a chain that leans to one side."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        left = parts[len(parts) // 2 * 2 :]
        parts = [*(join(one, other) for one, other in pairs), *left]
    return parts[0]


class _Reader:
    def __init__(self, text: str, columns: Mapping[str, pl.DataType]) -> None:
        self.text, self.columns = text, columns

    def condition(self, node: ast.expr) -> pl.Expr:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return _joined(operator.and_, [self.condition(v) for v in values])
            case ast.BoolOp(values=values):
                return _joined(operator.or_, [self.condition(v) for v in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self.condition(operand)
            case ast.Compare(left=left, ops=ops, comparators=right):
                sides = [left, *right]
                steps = zip(sides, ops, sides[1:], strict=False)
                return _joined(operator.and_, [self.comparison(*step) for step in steps])
            case ast.Name(id=name) if name not in _CONSTANTS:
                if self.kind(name) != pl.Boolean:
                    raise self.error(f"column '{name}' is no condition; compare it with a value")
                return pl.col(name)
            case _:
                raise self.error(f"'{ast.unparse(node)}' is not a condition; allowed: {_ALLOWED}")

    def comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> pl.Expr:
        if isinstance(op, ast.In | ast.NotIn):
            found = self.membership(left, right)
            return found if isinstance(op, ast.In) else ~found
        if type(op) not in _COMPARISONS:
            raise self.error(f"'is' is not allowed; allowed: {_ALLOWED}")
        if isinstance(left, ast.Call):
            return _COMPARISONS[type(op)](self.distance(left), self.number(right))
        names = [n for n in (self.column_of(left), self.column_of(right)) if n is not None]
        if not names:
            raise self.error("a comparison needs a column on one side")
        for name in names:
            self.refuse_lists(name)
        one, other = (self.operand(side, names[0]) for side in (left, right))
        return _COMPARISONS[type(op)](one, other)

    def membership(self, left: ast.expr, right: ast.expr) -> pl.Expr:
        if isinstance(right, ast.List | ast.Tuple | ast.Set):
            name = self.column_of(left)
            if name is None:
                raise self.error("COLUMN in [VALUES] needs a column on the left")
            self.refuse_lists(name)
            values = [self.value(item, name) for item in right.elts]
            typed = self.typed(values, name)
            return _none_of(name) if typed.is_empty() else self.cells(name).is_in(_listed(typed))
        name = self.column_of(right)
        kind = self.kind(name) if name is not None else None
        if name is None or not isinstance(kind, pl.List | pl.Array):
            raise self.error(
                f"'in {ast.unparse(right)}' needs a list such as ['a', 'b'], or a column of lists"
            )
        lists = pl.col(name) if isinstance(kind, pl.List) else pl.col(name).arr.to_list()
        if is_temporal(_inner(kind)):
            lists = lists.list.eval(comparable(pl.element(), _inner(kind)))
        value = self.typed([self.value(left, name)], name)
        if value.is_empty():
            return _none_of(name)
        return lists.list.contains(pl.lit(value[0], dtype=value.dtype))

    def typed(self, values: Sequence[Any], name: str) -> pl.Series:
        """Return values in the type of a column, without those that it cannot hold."""
        kind = _inner(self.kind(name))
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
        if isinstance(self.kind(name), pl.List | pl.Array):
            raise self.error(
                f"column '{name}' holds lists; write VALUE in {name}, or VALUE not in {name}"
            )

    def distance(self, node: ast.Call) -> pl.Expr:
        called = isinstance(node.func, ast.Name) and node.func.id == "distance_km"
        if not called or len(node.args) != 4 or node.keywords:
            raise self.error(
                f"'{ast.unparse(node)}': the only function is"
                " distance_km(LATITUDE_COLUMN, LONGITUDE_COLUMN, LATITUDE, LONGITUDE)"
            )
        names = [self.column_of(argument) for argument in node.args[:2]]
        if any(name is None or _family(self.kind(name)) != "number" for name in names):
            raise self.error("distance_km: the first two arguments must be columns of degrees")
        degrees = [self.number(argument) for argument in node.args[2:]]
        if abs(degrees[0]) > 90 or abs(degrees[1]) > 180:
            raise self.error(f"distance_km: no such place on earth: {degrees[0]}, {degrees[1]}")
        place = pl.col(names[0] or ""), pl.col(names[1] or "")
        return haversine_km(place, (pl.lit(degrees[0]), pl.lit(degrees[1])))

    def number(self, node: ast.expr) -> float:
        value = self.constant(node)
        if isinstance(value, bool | str):
            raise self.error(f"expected a number, got {value!r}")
        return float(value)

    def operand(self, node: ast.expr, partner: str) -> pl.Expr:
        name = self.column_of(node)
        if name is None:
            value = self.value(node, partner)
            return pl.lit(value, dtype=pl.Int128) if self.is_time(partner) else pl.lit(value)
        if _family(self.kind(name)) != _family(self.kind(partner)):
            raise self.error(
                f"column '{name}' holds {self.kind(name)}, '{partner}' holds {self.kind(partner)};"
                " they cannot be compared"
            )
        return self.cells(name)

    def cells(self, name: str) -> pl.Expr:
        return comparable(pl.col(name), self.kind(name)) if self.is_time(name) else pl.col(name)

    def is_time(self, name: str) -> bool:
        return is_temporal(self.kind(name))

    def column_of(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Name) and node.id not in _CONSTANTS:
            self.kind(node.id)
            return node.id
        return None

    def kind(self, name: str) -> pl.DataType:
        if name not in self.columns:
            known = list(self.columns)
            raise self.error(
                f"no column '{name}'{did_you_mean(name, known)}; the items have: {', '.join(known)}"
            )
        return self.columns[name]

    def value(self, node: ast.expr, column: str) -> Any:
        """Return a constant that fits the type of `column`, or of what its lists hold."""
        value = self.constant(node)
        inner = _inner(self.kind(column))
        if is_temporal(inner):
            moment = moment_of(value) if isinstance(value, str) else None
            if moment is None:
                raise self.error(
                    f"column '{column}' holds {inner}, got {value!r}; write an ISO 8601 time such"
                    ' as "2024-03-01" or "2024-03-01T10:30:00Z"'
                )
            return moment
        if _family_of_value(value) != _family(inner):
            raise self.error(f"column '{column}' holds {inner}, got {value!r}")
        return value

    def constant(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
            case ast.Name(id=name) if name in _CONSTANTS:
                return _CONSTANTS[name]
            case _:
                raise self.error(f"'{ast.unparse(node)}' is not a value; allowed: {_ALLOWED}")

    def error(self, words: str) -> QueryError:
        return QueryError(f"{named(self.text)}: {words}")


def _none_of(name: str) -> pl.Expr:
    """Return a condition that no cell fulfils; missing ones stay missing."""
    return pl.when(pl.col(name).is_not_null()).then(statement=False)


def _listed(values: pl.Series) -> pl.Expr:
    return pl.lit(values).implode()


def _inner(kind: Any) -> Any:
    return kind.inner if isinstance(kind, pl.List | pl.Array) else kind


def _family(kind: Any) -> str:
    if kind.is_numeric():
        return "number"
    if is_temporal(kind):
        return "time"
    return {pl.String: "text", pl.Categorical: "text", pl.Enum: "text", pl.Boolean: "boolean"}.get(
        kind.base_type(), str(kind)
    )


def _family_of_value(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"
