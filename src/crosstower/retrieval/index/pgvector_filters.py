"""Attributes as columns of PostgreSQL, and conditions on them as SQL with parameters.

Names of attributes and constants of a condition never become SQL text: columns are called a0, a1
and so on, and constants are parameters.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import polars as pl

from crosstower.data.filters.filter import parse_filter
from crosstower.data.filters.operands import Operands
from crosstower.data.filters.values import family, inner, spellings, text_cells
from crosstower.data.times.comparable import comparable
from crosstower.errors import QueryError
from crosstower.recipe.frozen import FrozenModel
from crosstower.values.geography import EARTH_RADIUS_KM
from crosstower.values.instants import is_temporal

_KINDS: dict[str, tuple[pl.DataType, str]] = {
    "integer": (pl.Int64(), "int8"),
    "large integer": (pl.Int128(), "numeric"),
    "number": (pl.Float64(), "float8"),
    "single": (pl.Float32(), "float4"),
    "text": (pl.String(), "text"),
    "boolean": (pl.Boolean(), "bool"),
    "time": (pl.Datetime("ns"), "numeric"),
}  # the type in conditions, and that of PostgreSQL
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "=",
    ast.NotEq: "<>",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
Sql = tuple[str, list[Any]]


class Column(FrozenModel):
    """An attribute in a table.

    Args:
        name: of the attribute.
        kind: of its values.
        many: whether a cell is a list.

    """

    name: str
    kind: str
    many: bool = False

    @property
    def polars_type(self) -> pl.DataType:
        """The type of the attribute in conditions."""
        kind = _KINDS[self.kind][0]
        return pl.List(kind) if self.many else kind

    @property
    def sql_type(self) -> str:
        """The type of the column."""
        return _KINDS[self.kind][1] + ("[]" if self.many else "")

    def cells(self, values: pl.Series) -> list[Any]:
        """Return cells as they are stored: times as nanoseconds, and no NaN."""
        if not self.many:
            return pl.select(_stored(pl.lit(values), values.dtype)).to_series().to_list()
        lists = values if isinstance(values.dtype, pl.List) else values.arr.to_list()
        held = inner(values.dtype)
        return pl.select(pl.lit(lists).list.eval(_stored(pl.element(), held))).to_series().to_list()


def columns_of(attributes: pl.DataFrame) -> list[Column]:
    """Return the columns of a table of attributes.

    Raises:
        QueryError: a column holds values that no condition can name, such as lists of lists.

    """
    found: list[Column] = []
    for name, dtype in attributes.schema.items():
        kind = _kind_of(inner(dtype))
        if kind is None:
            raise QueryError(
                f"attributes: column '{name}' holds {dtype}, which pgvector cannot store; expected"
                " numbers, text, booleans, times, or lists of them; drop the column"
            )
        found.append(Column(name=name, kind=kind, many=isinstance(dtype, pl.List | pl.Array)))
    return found


def sql_filter(where: str, columns: Mapping[str, tuple[str, Column]]) -> Sql:
    """Return a condition as SQL and its parameters; a missing attribute never fulfils it.

    >>> columns = {"city": ("a0", Column(name="city", kind="text"))}
    >>> sql_filter("not city == 'Rome'", columns)
    ('NOT ((a0 = ANY(%s::text[])))', [['Rome']])

    Args:
        where: the condition.
        columns: name in the table and column, by name of the attribute.

    Raises:
        QueryError: the condition is wrong, or compares two columns of text.

    """
    kinds = {name: column.polars_type for name, (_, column) in columns.items()}
    parse_filter(where, kinds, strict=True)  # names and types are checked there
    tree = ast.parse(where.strip(), mode="eval").body
    if "\0" in where or any(
        isinstance(n, ast.Constant) and isinstance(n.value, str) and "\0" in n.value
        for n in ast.walk(tree)
    ):
        raise QueryError("filter: a text holds a null character, which PostgreSQL cannot store")
    return _Reader(where, kinds, {name: place for name, (place, _) in columns.items()}).read(tree)


class _Reader(Operands):
    def __init__(
        self, text: str, columns: Mapping[str, pl.DataType], places: Mapping[str, str]
    ) -> None:
        super().__init__(text, columns, strict=True)
        self._places, self._values = places, list[Any]()

    def read(self, node: ast.expr) -> Sql:
        return self._condition(node), self._values

    def _condition(self, node: ast.expr) -> str:
        match node:
            case ast.BoolOp(op=op, values=values):
                word = " AND " if isinstance(op, ast.And) else " OR "
                return f"({word.join(self._condition(value) for value in values)})"
            case ast.UnaryOp(operand=operand):
                return f"NOT ({self._condition(operand)})"
            case ast.Compare(left=left, ops=ops, comparators=right):
                sides = [left, *right]
                steps = zip(sides, ops, sides[1:], strict=False)
                return " AND ".join(self._comparison(*step) for step in steps).join("()")
            case _:  # a boolean column; anything else was refused before
                return self._column(node)

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> str:
        if isinstance(op, ast.In | ast.NotIn):
            found = self._membership(left, right)
            return found if isinstance(op, ast.In) else f"NOT ({found})"
        sign = _SIGNS[type(op)]
        if isinstance(left, ast.Call):
            return f"{self._distance(left)} {sign} {self._value(self.number(right), 'float8')}"
        names = [n for n in (self.column_of(left), self.column_of(right)) if n is not None]
        name, is_text = names[0], family(self.kind(names[0])) == "text"
        if len(names) == 2:
            if is_text:
                raise self.error("pgvector cannot compare two columns of text")
            return f"{self._column(left)} {sign} {self._column(right)}"
        value = self.value(right if self.column_of(left) is not None else left, name)
        if is_text and isinstance(op, ast.Eq | ast.NotEq):
            found = self._any(name, spellings(value))
            return found if isinstance(op, ast.Eq) else f"NOT ({found})"
        sides = [
            self._column(side) if self.column_of(side) else self._constant(value, name)
            for side in (left, right)
        ]
        return f"{sides[0]} {sign} {sides[1]}"

    def _membership(self, left: ast.expr, right: ast.expr) -> str:
        if isinstance(right, ast.List | ast.Tuple | ast.Set):
            name = self.column_of(left) or ""
            values = [self.value(item, name) for item in right.elts]
            if family(self.kind(name)) == "text":
                return self._any(name, [form for v in values for form in spellings(v)])
            return self._any(name, self.typed(values, name).to_list())
        name = self.column_of(right) or ""
        wanted = self.value(left, name)
        if family(inner(self.kind(name))) == "text":
            forms = spellings(wanted)
        else:
            forms = self.typed([wanted], name).to_list()
        return f"{self._places[name]} && {self._value(forms, f'{self._type(name)}[]')}"

    def _distance(self, node: ast.Call) -> str:
        latitude, longitude = (f"{self._column(a)}::float8" for a in node.args[:2])
        north, east = (self.number(argument) for argument in node.args[2:])
        first = f"radians({self._value(north, 'float8')}) - radians({latitude})"
        cosines = f"cos(radians({latitude})) * cos(radians({self._value(north, 'float8')}))"
        second = f"radians({self._value(east, 'float8')} - {longitude})"
        square = f"sin(({first}) / 2) ^ 2 + {cosines} * sin({second} / 2) ^ 2"
        return f"{2 * EARTH_RADIUS_KM} * asin(sqrt(least(greatest({square}, 0), 1)))"

    def _any(self, name: str, values: list[Any]) -> str:
        if not values:  # missing cells stay missing
            return f"(CASE WHEN {self._places[name]} IS NOT NULL THEN false END)"
        return f"{self._places[name]} = ANY({self._value(values, f'{self._type(name)}[]')})"

    def _constant(self, value: Any, name: str) -> str:
        kind = self.kind(name)
        # A constant of another type than the column keeps its own, as 3.5 with integers.
        own = isinstance(value, float) and not kind.is_float()
        return self._value(value, "float8" if own else _wide(value, self._type(name)))

    def _value(self, value: Any, kind: str) -> str:
        self._values.append(value)
        return f"%s::{kind}"

    def _column(self, node: ast.expr) -> str:
        name = self.column_of(node)
        if name is None:
            raise self.error(f"'{ast.unparse(node)}' is not a condition")
        return self._places[name]

    def _type(self, name: str) -> str:
        held = inner(self.kind(name))
        return next(sql for kind, sql in _KINDS.values() if kind == held)


def _wide(value: Any, kind: str) -> str:
    """Return numeric for an integer that a column of int8 cannot hold."""
    return "numeric" if kind == "int8" and not -(2**63) <= value < 2**63 else kind


def _kind_of(dtype: Any) -> str | None:
    if dtype.is_integer():
        return "large integer" if dtype in (pl.UInt64, pl.Int128) else "integer"
    if dtype.is_numeric():
        return "single" if dtype in (pl.Float32, pl.Float16) else "number"
    found = {"text": "text", "time": "time", "boolean": "boolean"}.get(family(dtype))
    return "text" if found is None and dtype == pl.Null else found


def _stored(cells: pl.Expr, dtype: Any) -> pl.Expr:
    if is_temporal(dtype):
        return comparable(cells, dtype)
    if dtype.is_float():
        return cells.fill_nan(None)
    if dtype.is_decimal():
        return cells.cast(pl.Float64)
    return text_cells(cells, dtype) if family(dtype) == "text" else cells
