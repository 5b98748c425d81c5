"""The columns of a bias tower are read by it alone."""

import re
from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.bias import Bias
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe

COLUMNS: dict[str, Any] = {
    "user": "categorical",
    "position": "categorical",
    "device": {"kind": "categorical", "hash_buckets": 9},
    "tags": "bag",
    "other": {"kind": "categorical", "table": "device"},
    "both": {"kind": "cross", "columns": ["user", "device"], "hash_buckets": 9},
}


def recipe_of(bias: Any, columns: Any = None, **more: Any) -> Recipe:
    schema = {"columns": COLUMNS if columns is None else columns, "tasks": {"click": "binary"}}
    return Recipe.model_validate({"schema": schema, "bias": bias, **more})


@pytest.mark.parametrize("given", ["position", ["position"], {"columns": ["position"]}])
def test_columns_alone_stand_for_the_defaults(given: Any) -> None:
    recipe = recipe_of(given)
    assert recipe.bias == Bias(columns=["position"])
    assert list(recipe.served_schema.columns) == [n for n in COLUMNS if n != "position"]
    assert recipe.served_schema.tasks == recipe.schema_.tasks
    assert parse_recipe(recipe.to_yaml()).bias == recipe.bias


def test_without_the_section_all_columns_serve() -> None:
    recipe = recipe_of(None)
    assert recipe.served_schema is recipe.schema_


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (["positon"], "bias: no column 'positon'; did you mean 'position'?; allowed: user,"),
        (["position", "position"], "bias: repeats 'position'; name it once"),
        (["tags"], "bias: column 'tags' is of kind bag"),
        (["both"], "bias: column 'both' is of kind cross"),
        (["device"], "bias: column 'device' is read by column 'other' as well"),
        (["other"], "bias: column 'other' is read by column 'device' as well"),
        (["device", "other"], "bias: column 'device' is read by column 'both' as well"),
        ({"columns": []}, "bias.columns"),
        ({"columns": ["position"], "dropout": 0}, "bias.dropout"),
    ],
)
def test_other_columns_are_refused(bias: Any, message: str) -> None:
    with pytest.raises(Exception, match=re.escape(message)):
        recipe_of(bias)


def test_a_column_must_be_left_and_a_retriever_has_none() -> None:
    with pytest.raises(Exception, match="bias: names every column; leave at least one"):
        recipe_of("position", {"position": "categorical"})
    text = """
      bias: [position]
      schema: {columns: {user: categorical, item: categorical, position: numeric}}
      retrieval: {item: item, user: user}
    """
    with pytest.raises(RecipeError, match="bias: not allowed in a retrieval recipe"):
        parse_recipe(text)
