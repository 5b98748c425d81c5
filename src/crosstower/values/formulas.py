"""Formulas over columns: parsed, checked and computed on arrays; never run as code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import numpy as np
import polars as pl

from crosstower.errors import DataError, did_you_mean
from crosstower.values.arrays import Floats
from crosstower.values.columns import floats_of
from crosstower.values.ids import id_of
from crosstower.values.syntax import nodes_of, parsed

_MOST_CHARACTERS, _MOST_NODES, _MOST_DEPTH = 10_000, 2_000, 100

ALLOWED = (
    "numbers, column names, + - * / **, == != < <= > >=, and, or, not, A if CONDITION else B,"
    " abs, ceil, coalesce, exp, floor, log, log1p, max, min, round, sqrt,"
    ' same(COLUMN, COLUMN or "TEXT") and column("NAME")'
)
_SAME = 'same: expected same(COLUMN, COLUMN), same(COLUMN, "TEXT") or same(COLUMN, WHOLE NUMBER)'


@dataclass(frozen=True)
class Values:
    """Inputs of a formula: numbers and ids `[B]` by column; NaN and null are missing."""

    numbers: Mapping[str, Floats]
    ids: Mapping[str, pl.Series]


Step = Callable[[Values], Floats]
"""Computes a number per row `[B]` or one for all rows; NaN is missing."""


@dataclass(frozen=True)
class ParsedFormula:
    """A formula over data columns.

    Args:
        numbers: columns that are read as numbers.
        ids: columns that `same` compares, which are read as ids.
        step: computes the formula.

    """

    numbers: tuple[str, ...]
    ids: tuple[str, ...]
    step: Step

    def values(self, numbers: Sequence[pl.Series], ids: Sequence[pl.Series]) -> pl.Series:
        """Return the values `[B]`, Float64, of numbers and ids `[B]` in the order of the columns.

        A value that is not finite, such as that of a division by zero, is null.
        """
        given = Values(
            {n: floats_of(cells) for n, cells in zip(self.numbers, numbers, strict=True)},
            {n: _comparable(cells) for n, cells in zip(self.ids, ids, strict=True)},
        )
        rows = len((*numbers, *ids)[0])
        with np.errstate(all="ignore"):
            found = np.broadcast_to(self.step(given), rows)
        return pl.Series(found).fill_nan(None)


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
        ValueError: the text is not a formula, names no column, or is too long.

    """
    try:
        tree = parsed(text, longest=_MOST_CHARACTERS, allowed=ALLOWED)
    except RecursionError:
        raise _too_deep() from None
    _check_size(tree.body)
    reader = _Reader(text)
    step = reader.number(tree.body)
    if not reader.numbers and not reader.ids:
        raise ValueError("it names no column; name at least one")
    return ParsedFormula(tuple(reader.numbers), tuple(reader.ids), step)


def _check_size(root: ast.expr) -> None:
    for count, (_, depth) in enumerate(nodes_of(root), 1):
        if depth > _MOST_DEPTH:
            raise _too_deep()
        if count > _MOST_NODES:
            raise ValueError("expected fewer names, numbers and operators; make it shorter")


def _too_deep() -> ValueError:
    return ValueError(f"nested more than {_MOST_DEPTH} levels deep; make it shorter")


@dataclass
class _Reader:
    """Turns a syntax tree into steps, and notes the columns that it names."""

    text: str
    numbers: dict[str, None] = field(default_factory=dict)
    ids: dict[str, None] = field(default_factory=dict)

    def number(self, node: ast.expr) -> Step:
        name = self._column(node)
        if name is not None:
            self.numbers[name] = None
            return lambda values: values.numbers[name]
        read = self._readers().get(type(node))
        if read is None:
            raise _not_allowed(node)
        return read(node)

    def _readers(self) -> dict[type[ast.expr], Callable[[Any], Step]]:
        return {
            ast.BinOp: self._computed,
            ast.BoolOp: self._joined,
            ast.Call: self._called,
            ast.Compare: self._compared,
            ast.Constant: _constant,
            ast.IfExp: self._chosen,
            ast.UnaryOp: self._signed,
        }

    def _computed(self, node: ast.BinOp) -> Step:
        if type(node.op) not in _BINARY:
            raise _not_allowed(node)
        sides = [self.number(node.left), self.number(node.right)]
        return partial(_finite, _BINARY[type(node.op)], sides)

    def _joined(self, node: ast.BoolOp) -> Step:
        sides = [self.number(value) for value in node.values]
        return partial(_all if isinstance(node.op, ast.And) else _any, sides)

    def _compared(self, node: ast.Compare) -> Step:
        if not all(type(op) in _COMPARE for op in node.ops):
            raise _not_allowed(node)
        sides = [self.number(side) for side in (node.left, *node.comparators)]
        pairs = zip(node.ops, sides, sides[1:], strict=False)
        steps = [partial(_known, _COMPARE[type(op)], [a, b]) for op, a, b in pairs]
        return steps[0] if len(steps) == 1 else partial(_all, steps)

    def _chosen(self, node: ast.IfExp) -> Step:
        body, test, other = (self.number(part) for part in (node.body, node.test, node.orelse))

        def step(values: Values) -> Floats:
            holds = test(values)
            chosen = np.where(holds != 0, body(values), other(values))
            return np.where(np.isnan(holds), np.nan, chosen)

        return step

    def _signed(self, node: ast.UnaryOp) -> Step:
        if type(node.op) not in _UNARY:
            raise _not_allowed(node)
        return partial(_known, _UNARY[type(node.op)], [self.number(node.operand)])

    def _called(self, node: ast.Call) -> Step:
        args, name = node.args, node.func.id if isinstance(node.func, ast.Name) else ""
        if node.keywords or not name or any(isinstance(arg, ast.Starred) for arg in args):
            raise _not_allowed(node)
        if name == "same":
            return self._same(args)
        if name == "column":
            raise ValueError('column: expected column("NAME"), the name in quotes')
        if name not in _FUNCTIONS:
            hint = did_you_mean(name, [*_FUNCTIONS, "same"])
            raise ValueError(f"no function '{name}'{hint}; allowed: {ALLOWED}")
        least, most, function = _FUNCTIONS[name]
        if not least <= len(args) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise ValueError(f"{name}: expected {wanted} values in brackets, got {len(args)}")
        return partial(_finite, function, [self.number(arg) for arg in args])

    def _same(self, args: Sequence[ast.expr]) -> Step:
        if len(args) != 2 or self._column(args[0]) is None:
            raise ValueError(_SAME)
        first, second = (self._id(arg) for arg in args)
        return lambda values: floats_of((first(values) == second(values)).cast(pl.Float64))

    def _id(self, node: ast.expr) -> Callable[[Values], pl.Series]:
        name = self._column(node)
        if name is not None:
            self.ids[name] = None
            return lambda values: values.ids[name]
        try:
            constant = ast.literal_eval(node)
        except (TypeError, ValueError):
            constant = None
        if type(constant) not in (bool, int, str):
            raise ValueError(_SAME)
        try:
            found = id_of(constant)
        except DataError as error:
            raise ValueError(f"same: {error}") from None
        series = _comparable(pl.Series([None if found is None else str(found)], dtype=pl.String))
        return lambda _: series

    def _column(self, node: ast.expr) -> str | None:
        """Return the column that a name, or column("NAME"), refers to."""
        match node:
            case ast.Name(id=name):
                if name not in self.text:  # Python writes some characters in another way
                    raise ValueError(f"'{name}': write column(\"NAME\") for a name of such letters")
                return name
            case ast.Call(
                func=ast.Name(id="column"), args=[ast.Constant(value=str() as name)], keywords=[]
            ):
                return name
            case _:
                return None


def _constant(node: ast.Constant) -> Step:
    if not isinstance(node.value, bool | int | float):
        raise _not_allowed(node)
    try:
        number = np.float64(node.value)
    except OverflowError:
        number = np.float64("inf")
    if np.isinf(number):
        raise ValueError("a number is too large; give one below 1.8e308")
    return lambda _: np.asarray(number)


def _not_allowed(node: ast.AST) -> ValueError:
    try:
        shown = ast.unparse(node)
    except RecursionError:
        shown = type(node).__name__
    return ValueError(f"'{shown:.60}' is not allowed; allowed: {ALLOWED}")


def _comparable(ids: pl.Series) -> pl.Series:
    """Return ids as text, in which a boolean is 1 or 0, as an integer may stand for it."""
    return ids.cast(pl.String).replace({"true": "1", "false": "0"})


def _finite(function: Callable[..., Any], sides: Sequence[Step], values: Values) -> Floats:
    """Return a function of some steps; NaN where it is infinite."""
    found = function(*(side(values) for side in sides))
    return np.where(np.isfinite(found), found, np.nan)


def _known(function: Callable[..., Any], sides: Sequence[Step], values: Values) -> Floats:
    """Return a function of some steps; NaN where one of them is."""
    given = [side(values) for side in sides]
    missing = reduce(np.logical_or, [np.isnan(one) for one in given])
    return np.where(missing, np.nan, function(*given))


def _all(sides: Sequence[Step], values: Values) -> Floats:
    """Return 0 where a side is 0, else NaN where one is missing, else 1."""
    found, missing = np.asarray(True), np.asarray(False)
    for side in sides:
        given = side(values)
        found, missing = found & (given != 0), missing | np.isnan(given)  # NaN is not 0
    return np.where(found, np.where(missing, np.nan, 1.0), 0.0)


def _any(sides: Sequence[Step], values: Values) -> Floats:
    """Return 1 where a side is neither 0 nor missing, else NaN where one is missing, else 0."""
    found, missing = np.asarray(False), np.asarray(False)
    for side in sides:
        given = side(values)
        absent = np.isnan(given)
        found, missing = found | ((given != 0) & ~absent), missing | absent
    return np.where(found, 1.0, np.where(missing, np.nan, 0.0))


def _coalesce(*args: Floats) -> Floats:
    return reduce(lambda first, second: np.where(np.isnan(first), second, first), args)


_BINARY: dict[type[ast.operator], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_UNARY: dict[type[ast.unaryop], Callable[..., Any]] = {
    ast.Not: np.logical_not,
    ast.UAdd: np.positive,
    ast.USub: np.negative,
}
_COMPARE: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_MANY = 50
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "abs": (1, 1, np.abs),
    "ceil": (1, 1, np.ceil),
    "coalesce": (2, _MANY, _coalesce),
    "exp": (1, 1, np.exp),
    "floor": (1, 1, np.floor),
    "log": (1, 1, np.log),
    "log1p": (1, 1, np.log1p),
    "max": (2, _MANY, lambda *args: reduce(np.maximum, args)),
    "min": (2, _MANY, lambda *args: reduce(np.minimum, args)),
    "round": (1, 1, np.rint),
    "sqrt": (1, 1, np.sqrt),
}
"""Functions by name: the least and the largest number of values, and the function."""
