"""Overrides of a recipe's keys as texts and as a mapping."""

from typing import Any

import numpy as np
import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.overrides import override
from crosstower.recipe.split import TimeSplit

SHORT = "schema: {columns: {user: categorical}, tasks: {click: binary}}"


def test_texts_and_a_mapping_set_the_same_keys() -> None:
    by_text, by_key = dict[str, Any](), dict[str, Any]()
    override(by_text, ["training.epochs=3", "model.hidden=[8, 4]", "evaluation.group=null"])
    override(by_key, {"training.epochs": 3, "model.hidden": [8, 4], "evaluation.group": None})
    assert by_text == by_key
    assert by_key == {
        "training": {"epochs": 3},
        "model": {"hidden": [8, 4]},
        "evaluation": {"group": None},
    }


def test_numbers_of_numpy_and_sections_are_values() -> None:
    split = TimeSplit(column="time", valid_from="2024-03-01", test_from="2024-04-01")
    recipe = parse_recipe(SHORT, {"training.epochs": np.int64(3), "data.split": split})
    assert (recipe.training.epochs, recipe.data.split) == (3, split)


def test_a_model_that_is_a_name_keeps_it() -> None:
    plain: dict[str, Any] = {"model": "mlp"}
    override(plain, {"model.hidden": [8]})
    assert plain == {"model": {"name": "mlp", "hidden": [8]}}


@pytest.mark.parametrize("given", [5, {5: 3}, [5], "training.epochs=3"])
def test_what_is_no_list_of_texts_and_no_mapping_is_refused(given: Any) -> None:
    with pytest.raises(RecipeError, match=r"overrides: expected .* or a list of texts"):
        override({}, given)
