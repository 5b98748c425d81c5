from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.tune import Dimension, Tune
from crosstower.recipe.validation import validate

BASE = "schema: {columns: {user: categorical}, tasks: {click: binary}}\n"


def test_a_list_is_short_for_choices() -> None:
    tune = validate(Tune, {"space": {"training.batch_size": [128, None]}})
    assert tune.space["training.batch_size"].choices == (128, None)


@pytest.mark.parametrize(
    ("dimension", "whole"),
    [
        ({"low": 1, "high": 4}, True),
        ({"low": 8, "high": 64, "step": 8}, True),
        ({"low": 0, "high": 0.5}, False),
        ({"low": 0, "high": 2, "step": 0.5}, False),
    ],
)
def test_a_range_between_whole_numbers_is_whole(dimension: dict[str, Any], whole: bool) -> None:
    assert Dimension(**dimension).whole is whole


@pytest.mark.parametrize(
    ("dimension", "words"),
    [
        ({"low": 1}, "expected low and high, or choices"),
        ({"low": 2, "high": 2}, r"low: expected a number below high \(2\), got 2"),
        ({"low": 0, "high": 1, "log": True}, "log: needs a low above 0, got 0"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "log: excludes step"),
        ({"low": 1, "high": 9, "choices": [1]}, "choices: excludes low, high"),
        ({"lo": 1, "high": 9}, "lo: unknown key; did you mean 'low'"),
        (0.1, "expected a range such as .* or a list of values, got 0.1"),
    ],
)
def test_a_wrong_dimension_is_refused(dimension: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        validate(Tune, {"space": {"training.epochs": dimension}})


def test_a_recipe_keeps_its_section() -> None:
    recipe = parse_recipe(BASE + "tune: {space: {model.dropout: {low: 0, high: 0.5}}, trials: 7}")
    again = parse_recipe(recipe.to_yaml())
    assert again.tune == recipe.tune
    assert again.tune is not None
    assert again.tune.trials == 7
