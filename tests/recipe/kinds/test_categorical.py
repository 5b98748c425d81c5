"""A categorical column: ids, and one value of a request as a cell of a file."""

import polars as pl
import pytest

from crosstower.recipe.kinds.categorical import Categorical
from crosstower.values.codes import MISSING, UNSEEN


def test_ids_are_canonical_and_a_fraction_is_none() -> None:
    cells = Categorical().reader()(pl.Series("user", [7.0, 1.5, None]))
    assert cells.values.to_list()[0] == 7
    assert cells.bad.to_list() == [False, True, False]
    assert "round them" in cells.advice


@pytest.mark.parametrize("options", [{}, {"hash_buckets": 9}, {"vocabulary": [7, 8]}])
def test_one_value_has_the_code_of_its_cell(options: dict) -> None:
    column = Categorical(**options)
    learner = column.learner()
    learner.add(pl.Series([7, 8, 8, None]))
    state = learner.finish()
    encode, quick = column.coder(state), column.value_coder(state)
    codes = [int(encode(pl.Series([value], dtype=pl.Int64))[0]) for value in (7, 8, 9, None)]
    assert [quick(value) for value in (7, "8", 9.0, None)] == codes
    assert codes[3] == MISSING
    assert options == {"hash_buckets": 9} or codes[2] == UNSEEN
    assert quick(0.5) is None  # no id: the way of files says where it is


def test_rare_values_are_unseen() -> None:
    column = Categorical(min_count=2)
    learner = column.learner()
    learner.add(pl.Series(["a", "b", "a"]))
    state = learner.finish()
    assert column.coder(state)(pl.Series(["a", "b"])).tolist() == [3, UNSEEN]
    assert column.inputs("x", state).size == 4
