"""Which columns feed which tower."""

import pytest

from crosstower.data.sources.source import open_source
from crosstower.errors import RecipeError
from crosstower.recipe.training import Training
from crosstower.retrieval.data.retrieval_data import prepare_retrieval
from crosstower.retrieval.data.tower_columns import frozen_columns, tower_columns_of

from .test_retrieval_data import ROWS, recipe


@pytest.mark.parametrize(
    ("columns", "item", "words"),
    [
        ({}, ["itm"], "no item column 'itm'; did you mean 'item'"),
        ({}, [], "name the columns of the item tower"),
        (
            {"km": {"kind": "distance", "origin": ["a", "b"], "to": ["c", "d"]}},
            ["item"],
            "a distance needs both the query and the item",
        ),
        (
            {"both": {"kind": "cross", "columns": ["user", "item"]}},
            ["item"],
            "only its own columns",
        ),
        (
            {"mine": "numeric", "near": {"kind": "formula", "expression": "mine - theirs"}},
            ["item", "near"],
            "computed in the item tower from 'mine', which belongs to the query",
        ),
        (
            {"theirs": "numeric", "near": {"kind": "formula", "expression": "mine - theirs"}},
            ["item", "theirs"],
            "computed in the query tower from 'theirs', which belongs to the item",
        ),
        (
            {
                "decade": {"kind": "formula", "expression": "year / 10"},
                "then": {"kind": "formula", "expression": "year + age"},
            },
            ["item", "decade"],
            "computed in the query tower from 'year', which belongs to the item",
        ),
        (
            {"age": {"kind": "elapsed", "start": "made", "end": "time"}},
            ["item", "age"],
            "computed in the item tower from 'time', which belongs to the query",
        ),
    ],
)
def test_sides_that_cannot_be(columns: dict, item: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        prepare_retrieval(recipe(columns, tuple(item)), open_source(ROWS))


def test_a_computed_column_of_one_tower() -> None:
    columns = {
        "size": "numeric",
        "area": {"kind": "formula", "expression": "size * height"},
        "mine": "numeric",
        "want": {"kind": "formula", "expression": "mine * 2"},
    }
    sides = tower_columns_of(recipe(columns, ("item", "size", "area")))
    assert sides.item == ("item", "size", "area")
    assert {"mine", "want"} <= set(sides.query)


def test_the_columns_of_the_query_are_frozen_if_the_training_says_so() -> None:
    plain = recipe({"device": "categorical"}, ("item",))
    frozen = plain.model_copy(update={"training": Training(freeze="query_tower")})
    assert frozen_columns(plain) == frozenset()
    sides = tower_columns_of(plain)
    assert frozen_columns(frozen) == {*sides.query, sides.history} - {None}
    assert "device" in frozen_columns(frozen)
    assert "item" not in frozen_columns(frozen)
