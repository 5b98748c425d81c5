"""A formula: cells of its columns are checked, and its number is scaled like any other."""

import polars as pl
import pytest

from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.kinds.formula import Formula
from crosstower.recipe.schema import Schema


def cleaned(column: Formula, rows: pl.DataFrame) -> list[float | None]:
    return Cleaner(Schema(columns={"c": column})).clean(Chunk(rows, "rows", 0, 0))["c"].to_list()


def test_values_come_from_every_type_of_number_and_id() -> None:
    column = Formula(expression="price / guests + same(city, home)")
    ids = {"city": ["Rome", "7"], "home": ["Oslo", "7"]}
    typed = pl.DataFrame({"price": [90, 80], "guests": [3.0, 2.0], **ids})
    text = pl.DataFrame({"price": ["90", "80"], "guests": ["3", "2.0"], **ids})
    assert cleaned(column, typed) == cleaned(column, text) == [30.0, 41.0]


def test_a_cell_that_is_no_number_is_named() -> None:
    rows = pl.DataFrame({"price": ["90", "cheap"], "guests": ["3", "2"]})
    with pytest.raises(
        DataError,
        match="column 'price': expected a finite number for the formula of 'c', got 'cheap'",
    ):
        cleaned(Formula(expression="price / guests"), rows)


def test_a_number_out_of_a_formula_is_scaled_and_marked_where_it_is_missing() -> None:
    column = Formula(expression="price / guests", transform="none")
    rows = pl.DataFrame({"price": [90.0, 80.0], "guests": [3, 0]})
    learner = column.learner()
    learner.add(pl.Series(cleaned(column, rows)))
    state = learner.finish()
    assert column.inputs("c", state) == ("c", "c is missing")
    assert column.coder(state)(pl.Series([30.0, None])).tolist() == [[30.0, 0.0], [0.0, 1.0]]


def test_a_formula_may_be_cut_into_ranges_and_crossed() -> None:
    columns = {
        "level": {
            "kind": "formula", "expression": "price / guests",
            "transform": "bucketise", "boundaries": [10, 20],
        },
        "city": "categorical",
        "both": {"kind": "cross", "columns": ["city", "level"]},
    }  # fmt: skip
    assert Schema.model_validate({"columns": columns}).columns["level"].has_code


def test_wrong_formulas_are_refused_by_their_key() -> None:
    with pytest.raises(RecipeError, match=r"expression: 'price % 2' is not allowed"):
        Formula(expression="price % 2")
    with pytest.raises(RecipeError, match="boundaries: allowed only with transform: bucketise"):
        Formula(expression="price", boundaries=(1.0,))


def test_a_formula_of_a_label_is_refused() -> None:
    columns = {"c": {"kind": "formula", "expression": "price * click"}}
    with pytest.raises(RecipeError, match="reads 'click', which is the label of task 'click'"):
        Schema(columns=columns, tasks={"click": "binary"})  # type: ignore[arg-type]
