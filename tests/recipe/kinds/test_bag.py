"""A bag: the first values of a list."""

import polars as pl
import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.kinds.bag import Bag
from crosstower.recipe.kinds.kind import ListField


def test_lists_come_from_text_with_a_separator() -> None:
    lists = Bag(separator="|").reader()(pl.Series("tags", ["a|b", "", None]))
    assert lists.values.to_list() == [["a", "b"], [], None]
    assert not lists.bad.any()


def test_text_without_a_separator_asks_for_one() -> None:
    cells = Bag().reader()(pl.Series("tags", ["[1, 2]", "1|2"]))
    assert cells.bad.to_list() == [False, True]
    assert "separator" in cells.advice


def test_a_bag_keeps_its_first_values() -> None:
    column = Bag(max_len=2, pooling="max", dim=5)
    learner = column.learner()
    learner.add(pl.Series([["a", "b", "c"], ["c"]]))
    state = learner.finish()
    codes, counts = column.coder(state)(pl.Series([["c", "b", "a"], None]))
    assert (codes.tolist(), counts.tolist()) == ([5, 4], [2, 0])
    assert column.inputs("tags", state) == ListField("tags", 6, "tags", 2, "max", 5)


def test_a_bag_has_no_target() -> None:
    with pytest.raises(RecipeError, match=r"^Bag\.target: unknown key"):
        Bag(target="item_id")  # type: ignore[call-arg]
