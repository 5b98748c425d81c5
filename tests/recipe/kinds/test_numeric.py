"""A numeric column: cells of the data, and one value of a request."""

import math
from typing import Any

import polars as pl
import pytest

from crosstower.recipe.kinds.numeric import Numeric


def test_text_that_spells_numbers_is_read() -> None:
    cells = Numeric().reader()(pl.Series(["1.5", "x", None]))
    assert cells.values.to_list() == [1.5, None, None]
    assert cells.bad.to_list() == [False, True, False]


@pytest.mark.parametrize("transform", ["standardise", "log1p", "quantile", "bucketise", "none"])
def test_one_value_is_encoded_as_a_column_is(transform: Any) -> None:
    column = Numeric(transform=transform)
    learner = column.learner()
    learner.add(pl.Series([1.0, 4.0, None, 9.0]))
    state = learner.finish()
    encode, coder = column.value_coder(state), column.coder(state)
    for value in (1.0, 7, None):
        expected = coder(pl.Series([value], dtype=pl.Float64)).tolist()[0]
        found = encode(value)
        assert found == (tuple(expected) if isinstance(expected, list) else expected)


@pytest.mark.parametrize("value", ["3", math.inf, math.nan, 2**70, True])
def test_other_values_take_the_way_of_files(value: Any) -> None:
    column = Numeric()
    learner = column.learner()
    learner.add(pl.Series([1.0, 2.0]))
    assert column.value_coder(learner.finish())(value) is None
