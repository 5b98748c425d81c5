"""Columns with a table: one that is learned, declared, hashed or shared."""

import polars as pl
import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.kinds.bag import Bag
from crosstower.recipe.kinds.categorical import Categorical
from crosstower.recipe.kinds.coded import GivenTable
from crosstower.values.codes import HashBuckets, Vocabulary
from crosstower.values.vocabulary_fit import VocabularyFit


def test_a_declared_table_learns_nothing() -> None:
    for column, size in ((Categorical(hash_buckets=5), 8), (Categorical(vocabulary=("b",)), 4)):
        learner = column.learner()
        assert isinstance(learner, GivenTable)
        learner.add(pl.Series(["x", "y"]))
        table = learner.finish()
        assert isinstance(table, HashBuckets | Vocabulary)
        assert table.size == size


def test_columns_that_share_a_table_learn_it_together() -> None:
    table = VocabularyFit(1, None)
    owner, sharer = Categorical().learner_of(table), Bag(table="item").learner_of(table)
    owner.add(pl.Series(["a"]))
    sharer.add(pl.Series([["b", "c"]]))
    assert owner.finish().values.to_list() == ["a", "b", "c"]
    assert sharer.finish().table is owner.finish()


def test_a_column_that_shares_has_the_width_of_the_owner() -> None:
    columns = {"item": Categorical(dim=4), "seen": Bag(table="item")}
    assert columns["seen"].resolved(columns).dim == 4
    assert columns["item"].resolved(columns) is columns["item"]


def test_an_empty_value_is_no_member_of_a_vocabulary() -> None:
    with pytest.raises(RecipeError, match="has an empty value, which means missing"):
        Categorical(vocabulary=("a", ""))
