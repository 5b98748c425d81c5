"""Formulas over columns: parsed, checked and turned into an expression; never run as code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_
from typing import Any

import polars as pl

from crosstower.errors import DataError, did_you_mean
from crosstower.values.ids import id_of

_MOST_CHARACTERS, _MOST_DEPTH = 10_000, 50

ALLOWED = (
    "numbers, column names, + - * / **, == != < <= > >=, and, or, not, A if CONDITION else B,"
    " abs, ceil, coalesce, exp, floor, log, log1p, max, min, round, sqrt,"
    ' same(COLUMN, COLUMN or "TEXT") and column("NAME")'
)


@dataclass(frozen=True)
class ParsedFormula:
    """A formula over data columns.

    Args:
        numbers: columns that are read as numbers.
        ids: columns that `same` compares, which are read as ids.
        value: the value, over columns named by `number_name` and `id_name`.

    """

    numbers: tuple[str, ...]
    ids: tuple[str, ...]
    value: pl.Expr

    def values(self, numbers: Sequence[pl.Series], ids: Sequence[pl.Series]) -> pl.Series:
        """Return the values `[B]`, Float64, of numbers and ids `[B]` in the order of the columns.

        A value that is not finite, such as that of a division by zero, is null.
        """
        columns = [
            cells.cast(pl.Float64).fill_nan(None).alias(_number_name(name))
            for name, cells in zip(self.numbers, numbers, strict=True)
        ]
        columns += [
            cells.cast(pl.String).alias(_id_name(name))
            for name, cells in zip(self.ids, ids, strict=True)
        ]
        return pl.DataFrame(columns).select(self.value.alias("value")).to_series()


def formula_of(text: str) -> ParsedFormula:
    """Return a formula over columns, written as in Python.

    A missing number makes the result missing, except in `coalesce`, in the branch of an `if` that
    is not taken, and where the other side decides an `and` or an `or`. Comparisons give 1 or 0.

    >>> formula = formula_of("price / guests if guests > 0 else price")
    >>> formula.numbers
    ('price', 'guests')
    >>> cells = [pl.Series([90.0, 80.0, None]), pl.Series([3, 0, 2])]
    >>> formula.values(cells, []).to_list()
    [30.0, 80.0, None]

    Args:
        text: of the formula.

    Raises:
        ValueError: the text is no formula, or names no column.

    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"expected at most {_MOST_CHARACTERS:,} characters, got {len(text):,}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"{error.msg} at character {error.offset}; allowed: {ALLOWED}") from None
    except (RecursionError, MemoryError):
        raise _too_deep() from None
    except ValueError as error:  # a null byte or half of a character
        raise ValueError(f"{error}; allowed: {ALLOWED}") from None
    reader = _Reader()
    value = reader.number(tree.body, 0)
    if not reader.numbers and not reader.ids:
        raise ValueError("it names no column; name at least one")
    return ParsedFormula(tuple(reader.numbers), tuple(reader.ids), value)


@dataclass
class _Reader:
    """Turns a syntax tree into an expression, and notes the columns that it names."""

    numbers: dict[str, None] = field(default_factory=dict)
    ids: dict[str, None] = field(default_factory=dict)

    def number(self, node: ast.expr, depth: int) -> pl.Expr:
        """Return a number, Float64; null where it is missing or not finite."""
        if depth > _MOST_DEPTH:
            raise _too_deep()
        name = _column_of(node)
        if name is not None:
            self.numbers[name] = None
            return pl.col(_number_name(name))
        if isinstance(node, ast.Compare | ast.BoolOp):
            return self.truth(node, depth).cast(pl.Float64)
        read = self._readers().get(type(node))
        if read is None:
            raise _not_allowed(node)
        return read(node, depth + 1)

    def _readers(self) -> dict[type[ast.expr], Callable[[Any, int], pl.Expr]]:
        return {
            ast.Constant: self._constant,
            ast.UnaryOp: self._signed,
            ast.BinOp: self._computed,
            ast.IfExp: self._chosen,
            ast.Call: self._called,
        }

    def _constant(self, node: ast.Constant, _depth: int) -> pl.Expr:
        if not isinstance(node.value, bool | int | float):
            raise _not_allowed(node)
        try:
            number = float(node.value)
        except OverflowError:
            number = float("inf")
        if number == float("inf"):
            raise ValueError("a number is too large; give one below 1.8e308")
        return pl.lit(number, dtype=pl.Float64)

    def _signed(self, node: ast.UnaryOp, depth: int) -> pl.Expr:
        if isinstance(node.op, ast.Not):
            return self.truth(node, depth).cast(pl.Float64)
        if not isinstance(node.op, ast.USub | ast.UAdd):
            raise _not_allowed(node)
        value = self.number(node.operand, depth)
        return -value if isinstance(node.op, ast.USub) else value

    def _computed(self, node: ast.BinOp, depth: int) -> pl.Expr:
        if type(node.op) not in _BINARY:
            raise _not_allowed(node)
        left, right = self.number(node.left, depth), self.number(node.right, depth)
        return _finite(_BINARY[type(node.op)](left, right))

    def _chosen(self, node: ast.IfExp, depth: int) -> pl.Expr:
        body, holds = self.number(node.body, depth), self.truth(node.test, depth)
        other = self.number(node.orelse, depth)
        return pl.when(holds.is_not_null()).then(pl.when(holds).then(body).otherwise(other))

    def truth(self, node: ast.expr, depth: int) -> pl.Expr:
        """Return whether something holds, Boolean; null where that is unknown."""
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                if not all(type(op) in _COMPARE for op in ops):
                    raise _not_allowed(node)
                sides = [self.number(side, depth + 1) for side in (left, *others)]
                pairs = zip(ops, sides, sides[1:], strict=False)
                return reduce(and_, [_COMPARE[type(op)](a, b) for op, a, b in pairs])
            case ast.BoolOp(op=op, values=values):
                join = and_ if isinstance(op, ast.And) else or_
                return reduce(join, [self.truth(value, depth + 1) for value in values])
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return ~self.truth(inner, depth + 1)
            case _:
                return self.number(node, depth) != 0

    def _called(self, node: ast.Call, depth: int) -> pl.Expr:
        args, name = node.args, node.func.id if isinstance(node.func, ast.Name) else ""
        if node.keywords or not name or any(isinstance(arg, ast.Starred) for arg in args):
            raise _not_allowed(node)
        if name == "same":
            return self._same(args).cast(pl.Float64)
        if name not in _FUNCTIONS:
            hint = did_you_mean(name, [*_FUNCTIONS, "same", "column"])
            raise ValueError(f"no function '{name}'{hint}; allowed: {ALLOWED}")
        least, most, function = _FUNCTIONS[name]
        if not least <= len(args) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise ValueError(f"{name}: expected {wanted} values in brackets, got {len(args)}")
        return _finite(function([self.number(arg, depth) for arg in args]))

    def _same(self, args: Sequence[ast.expr]) -> pl.Expr:
        if len(args) != 2 or _column_of(args[0]) is None:
            raise ValueError('same: expected same(COLUMN, COLUMN) or same(COLUMN, "TEXT")')
        first, second = (self._id(arg) for arg in args)
        return first == second

    def _id(self, node: ast.expr) -> pl.Expr:
        name = _column_of(node)
        if name is not None:
            self.ids[name] = None
            return pl.col(_id_name(name))
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int):
            try:
                found = id_of(node.value)
            except DataError as error:
                raise ValueError(f"same: {error}") from None
            return pl.lit(None if found is None else str(found), dtype=pl.String)
        raise ValueError('same: expected same(COLUMN, COLUMN) or same(COLUMN, "TEXT")')


def _column_of(node: ast.expr) -> str | None:
    """Return the column that a name, or column("NAME"), stands for."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Call(
            func=ast.Name(id="column"), args=[ast.Constant(value=str() as name)], keywords=[]
        ):
            return name
        case _:
            return None


def _finite(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_finite()).then(number)


def _all_there(args: list[pl.Expr], value: pl.Expr) -> pl.Expr:
    return pl.when(pl.all_horizontal([arg.is_not_null() for arg in args])).then(value)


def _not_allowed(node: ast.AST) -> ValueError:
    return ValueError(f"'{ast.unparse(node):.60}' is not allowed; allowed: {ALLOWED}")


def _too_deep() -> ValueError:
    return ValueError(f"nested more than {_MOST_DEPTH} levels deep; split it into columns")


def _number_name(column: str) -> str:
    return f"number:{column}"


def _id_name(column: str) -> str:
    return f"id:{column}"


_BINARY: dict[type[ast.operator], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a.pow(b),
}
_COMPARE: dict[type[ast.cmpop], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
_MANY = 50
_FUNCTIONS: dict[str, tuple[int, int, Callable[[list[pl.Expr]], pl.Expr]]] = {
    "abs": (1, 1, lambda args: args[0].abs()),
    "ceil": (1, 1, lambda args: args[0].ceil()),
    "coalesce": (2, _MANY, pl.coalesce),
    "exp": (1, 1, lambda args: args[0].exp()),
    "floor": (1, 1, lambda args: args[0].floor()),
    "log": (1, 1, lambda args: args[0].log()),
    "log1p": (1, 1, lambda args: args[0].log1p()),
    "max": (2, _MANY, lambda args: _all_there(args, pl.max_horizontal(args))),
    "min": (2, _MANY, lambda args: _all_there(args, pl.min_horizontal(args))),
    "round": (1, 1, lambda args: args[0].round()),
    "sqrt": (1, 1, lambda args: args[0].sqrt()),
}
"""Functions by name: the least and the largest number of values, and what they give."""
