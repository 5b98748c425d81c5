"""Formulas: values as Python computes them, missing and infinite ones, and what is refused."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.values.columns import id_cells
from crosstower.values.formulas import formula_of

Number = st.floats(-1e3, 1e3, allow_nan=False)
PYTHON: dict[str, Any] = {
    "__builtins__": {},
    "abs": abs,
    "ceil": math.ceil,
    "exp": math.exp,
    "floor": math.floor,
    "log": math.log,
    "log1p": math.log1p,
    "max": max,
    "min": min,
    "round": round,
    "sqrt": math.sqrt,
}


def value_of(text: str, *, ids: Sequence[Any] = (), **numbers: float | None) -> float | None:
    formula = formula_of(text)
    cells = [pl.Series([numbers[name]], dtype=pl.Float64) for name in formula.numbers]
    known = [id_cells(pl.Series([cell])).values for cell in ids]
    return formula.values(cells, known).item()


@pytest.mark.parametrize(
    "text",
    [
        "a + 2 * b - -a / 3",
        "a ** 2 - +b",
        "abs(a) + sqrt(abs(b)) + exp(a / 500)",
        "log(abs(a) + 1) - log1p(abs(b))",
        "floor(a) + ceil(b) + round(a / 7)",
        "max(a, b, 3) - min(a, b)",
        "a if a > b else b ** 2",
        "(a > b) + (a >= b) + (a < b) + (a <= b) + (a == b) + (a != b)",
        "-100 < a < b <= 500",
        "1 if a > 0 and b > 0 or not (a < -5) else 0",
        "True + a",
    ],
)
@given(a=Number, b=Number)
def test_values_are_those_of_python(text: str, a: float, b: float) -> None:
    expected = eval(text, PYTHON, {"a": a, "b": b})
    assert value_of(text, a=a, b=b) == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "a", "b", "expected"),
    [
        ("a / b", 1.0, 0.0, None),
        ("a / b", 0.0, 0.0, None),
        ("log(a)", -1.0, None, None),
        ("sqrt(a) > 1", -1.0, None, None),
        ("exp(a) - exp(a)", 1e4, None, None),
        ("a ** 0.5", -8.0, None, None),
        ("a + b", None, 1.0, None),
        ("max(a, b)", 2.0, None, None),
        ("min(a, b)", None, 2.0, None),
        ("a > b", None, 2.0, None),
        ("coalesce(a, 7)", None, None, 7.0),
        ("coalesce(a / b, -1)", 1.0, 0.0, -1.0),
        ("coalesce(a, b)", 3.0, 4.0, 3.0),
        ("a / b if b != 0 else a", 3.0, 0.0, 3.0),
        ("1 if a > 0 else 2", None, None, None),
        ("1 if b else a", 5.0, 0.0, 5.0),
        ("a > 0 or b > 0", None, 1.0, 1.0),
        ("a > 0 and b > 0", None, -1.0, 0.0),
        ("a > 0 and b > 0", None, 1.0, None),
    ],
)
def test_missing_and_infinite_values(
    text: str, a: float | None, b: float | None, expected: float | None
) -> None:
    assert value_of(text, a=a, b=b) == expected


def test_a_number_that_is_nan_is_missing() -> None:
    assert value_of("a > 1", a=math.nan) is None


@pytest.mark.parametrize(
    ("text", "ids", "expected"),
    [
        ("same(city, home)", ["Rome", "Rome"], 1.0),
        ("same(city, home)", ["Rome", "Oslo"], 0.0),
        ("same(city, home)", ["Rome", None], None),
        ("same(city, home)", [7, "7"], 1.0),
        ("same(city, 'Rome')", ["Rome"], 1.0),
        ("same(city, 7)", ["7"], 1.0),
        ("same(city, -7)", [-7], 1.0),
        ("same(city, 'true')", [True], 1.0),
        ("same(city, 'true')", [1], 1.0),
        ("same(city, 1)", ["false"], 0.0),
        ("same(city, ' 7 ')", [7], 1.0),
        ("2 * same(city, 'Rome') - 1", ["Oslo"], -1.0),
        ("same(column('home city'), 'Rome')", ["Rome"], 1.0),
    ],
)
def test_same_compares_ids(text: str, ids: list[Any], expected: float | None) -> None:
    assert value_of(text, ids=ids) == expected


def test_columns_are_named_in_their_order_once() -> None:
    formula = formula_of("b + a * b + column('list price') + same(city, b)")
    assert formula.numbers == ("b", "a", "list price")
    assert formula.ids == ("city", "b")


def test_names_of_functions_may_be_columns() -> None:
    assert formula_of("min / max").numbers == ("min", "max")
    assert value_of("min / max", min=1.0, max=4.0) == 0.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at its end"),
        ("a +", "at its end"),
        ("1 + 2", "names no column"),
        ("'x'", "is not allowed"),
        ("a + 'x'", "is not allowed"),
        ("a % 2", "is not allowed"),
        ("a.b", "is not allowed"),
        ("a[0]", "is not allowed"),
        ("~a", "is not allowed"),
        ("[a]", "is not allowed"),
        ("lambda: a", "is not allowed"),
        ("a in b", "is not allowed"),
        ("a is b", "is not allowed"),
        ("(x := a)", "is not allowed"),
        ("__import__('os')", "no function '__import__'"),
        ("a.pow(2)", "is not allowed"),
        ("sqr(a)", "did you mean 'sqrt'"),
        ("log(a, 2)", "log: expected 1 values"),
        ("max(a)", "max: expected 2 to 50 values"),
        ("max(*a)", "is not allowed"),
        ("round(a, n=1)", "is not allowed"),
        ("same(a)", "same: expected"),
        ("same('x', a)", "same: expected"),
        ("same(a, b + 1)", "same: expected"),
        ("column(a)", r'column: expected column\("NAME"\)'),
        ("a + 1e999", "too large"),
        ("a + 1" + "0" * 400, "too large"),
        ("a + " + "-" * 110 + "1", "nested more than 100"),
        ("a" + ".b" * 400, "nested more than 100"),
        ("a" + ".b" * 90, "is not allowed"),
        ("not " * 2000 + "a", "nested more than 100"),
        ("+".join(["a"] * 150), "nested more than 100"),
        ("<".join(["a"] * 2000), "expected fewer names"),
        ("\u00b5 * 2", "write column"),
        ("(" * 300 + "a" + ")" * 300, "nested|parentheses"),
        ("a + " * 4000 + "a", "characters"),
        ("a\0", "null byte|null character"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        formula_of(text)


def test_the_cost_is_linear_in_the_length() -> None:
    names = [f"a{number}" for number in range(90)]
    ones = [pl.Series([1.0, 2.0])] * 90
    assert formula_of(" + ".join(names)).values(ones, []).to_list() == [90.0, 180.0]
    assert formula_of(" and ".join(names)).values(ones, []).to_list() == [1.0, 1.0]
    assert formula_of(" < ".join(names)).values(ones, []).to_list() == [0.0, 0.0]
    nested = "max(1, " * 80 + "a" + ")" * 80
    assert value_of(nested, a=3.0) == 3.0


def test_names_that_python_would_change_are_written_in_quotes() -> None:
    assert formula_of('column("\u00b5") * 2').numbers == ("\u00b5",)
    assert formula_of("größe * 2").numbers == ("größe",)


def test_no_rows_give_no_values() -> None:
    empty = pl.Series([], dtype=pl.Float64)
    assert formula_of("a / 2 + 1").values([empty], []).to_list() == []
