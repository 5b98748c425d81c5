"""Kinds of columns: options that go together, and what a cross may use."""

import pytest
from pydantic import ValidationError

from crosstower.errors import RecipeError
from crosstower.recipe.schema import Bag, Categorical, Cross, Distance, Numeric

from ..test_schema import EVERYTHING, schema


def test_which_columns_give_one_code_a_row() -> None:
    assert Categorical().has_code
    assert Numeric(transform="bucketise").has_code
    assert not Numeric().has_code
    assert not Bag().has_code


def test_which_data_columns_a_column_reads() -> None:
    assert Categorical().sources("city") == ("city",)
    assert Categorical(source="town").sources("city") == ("town",)
    assert Distance(origin=("a", "b"), to=("c", "d")).sources("km") == ("a", "b", "c", "d")
    assert Cross(columns=("x", "y")).sources("xy") == ()
    assert Cross(columns=("x", "y")).readings("xy") == []


def test_columns_cannot_be_changed() -> None:
    with pytest.raises(RecipeError, match=r"Categorical\.dim: cannot be changed; .*model_copy"):
        schema(EVERYTHING).columns["item"].dim = 3


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "at least 1 item"),
        ({"c": "categoric"}, "no column kind 'categoric'; did you mean 'categorical'"),
        ({"c": {"kind": "numeric", "transfrom": "log1p"}}, "Extra inputs are not permitted"),
        (
            {"c": {"kind": "categorical", "hash_buckets": 9, "min_count": 2}},
            "replaces the vocab",
        ),
        ({"c": {"kind": "categorical", "vocabulary": ["a"], "max_size": 2}}, "kept whole"),
        ({"c": {"kind": "categorical", "vocabulary": ["a", "a"]}}, "repeats a value"),
        ({"c": {"kind": "categorical", "hash_buckets": 2**31}}, "less than 2147483648"),
        ({"c": {"kind": "numeric", "buckets": 8}}, "buckets: allowed only with transform"),
        ({"c": {"kind": "numeric", "transform": "bucketise", "boundaries": [2, 1]}}, "increase"),
        ({"c": {"kind": "vector", "width": 0}}, "greater than or equal to 1"),
        ({"c": {"kind": "sequence", "max_len": 0}}, "greater than or equal to 1"),
        ({"c": "categorical", "x": {"kind": "cross", "columns": ["c"]}}, "at least 2 items"),
    ],
)
def test_an_impossible_column_is_refused(columns: dict, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        schema(columns)
