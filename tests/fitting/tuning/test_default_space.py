from typing import Any, ClassVar

import pytest
from pydantic import Field

from crosstower.fitting.tuning.default_space import default_space
from crosstower.fitting.tuning.space import check_space, current_values
from crosstower.models.mlp import PlainMLP
from crosstower.models.registry import MODELS, model_names, register_model
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe

RANKS = """
schema:
  columns: {user: categorical, item: categorical, age: numeric}
  tasks: {click: binary, like: {kind: binary, after: click}}
model: {name: NAME}
"""
RETRIEVES = """
schema: {columns: {user: categorical, item: categorical}}
retrieval: {item: item, user: user}
model: {name: two_tower, item: [item]}
"""


def recipe_of(name: str) -> Recipe:
    text = RANKS.replace("NAME", name)
    if name == "two_tower":
        text = text.replace("name: two_tower", "name: two_tower, item: [item]")
    return parse_recipe(text)


@pytest.mark.parametrize("name", model_names())
def test_every_model_has_a_space_that_it_takes_and_that_holds_the_recipe(name: str) -> None:
    recipe = recipe_of(name)
    space = default_space(recipe)
    check_space(recipe, space)
    assert set(current_values(recipe, space)) == set(space)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("autoint", {"attention_layers", "hidden", "embedding_dim"}),
        ("masknet", {"reduction_ratio", "hidden"}),
        ("gdcn", {"cross_layers", "hidden"}),
        ("wukong", {"layers", "machine_fields", "linear_fields", "rank"}),
    ],
)
def test_options_of_rankers_are_tuned(name: str, keys: set[str]) -> None:
    assert {f"model.{key}" for key in keys} <= set(default_space(recipe_of(name)))


def test_a_retriever_has_one_too() -> None:
    recipe = parse_recipe(RETRIEVES)
    space = default_space(recipe)
    check_space(recipe, space)
    assert {"model.dim", "model.temperature", "training.embedding_learning_rate"} <= set(space)


def test_only_parts_that_a_model_has_are_tuned() -> None:
    linear = default_space(recipe_of("logistic_regression"))
    assert set(linear) == {"training.wide_alpha", "training.wide_l2"}
    assert "training.wide_alpha" not in default_space(recipe_of("dcn_v2"))
    assert "model.trunk.hidden" in default_space(recipe_of("mmoe"))


def test_a_space_lies_around_the_recipes_own_values() -> None:
    given = parse_recipe(RANKS.replace("{name: NAME}", "{name: mlp, hidden: [7], dropout: 0.7}"))
    space = default_space(given.model_copy(update={"training": given.training}))
    rate = space["training.learning_rate"]
    assert (rate.low, rate.high, rate.log) == (1e-4, 1e-2, True)
    assert space["model.hidden"].choices[0] == [7]
    assert space["model.dropout"].high == 0.7


def test_a_model_brings_a_space_of_its_own() -> None:
    @register_model("tuned_by_itself")
    class Own(PlainMLP):
        class Config(PlainMLP.Config):
            space: ClassVar[dict[str, Any]] = {"blocks": {"low": 1, "high": 4}, "dropout": None}
            blocks: int = Field(default=2, ge=1)

    try:
        space = default_space(recipe_of("tuned_by_itself"))
    finally:
        del MODELS.entries["tuned_by_itself"]
        del MODELS.modules["tuned_by_itself"]
    assert (space["model.blocks"].low, space["model.blocks"].high) == (1, 4)
    assert "model.dropout" not in space
    assert "model.hidden" in space


IDS_ALONE = """
schema: {columns: {item: categorical, history: {kind: bag}}}
retrieval: {item: item, user: user, history: history, objective: full_softmax START}
model: {name: two_tower, item: [item], dim: 32, embedding_dim: 32, normalise: false}
"""


def test_what_a_spectral_start_fixes_is_not_searched() -> None:
    free = parse_recipe(IDS_ALONE.replace("START", ""))
    fixed = parse_recipe(IDS_ALONE.replace("START", ", start: spectral"))
    space = default_space(fixed)
    check_space(fixed, space)
    layers = {"model.query_hidden", "model.item_hidden"}
    assert set(default_space(free)) - set(space) == {"model.dim", "model.embedding_dim"} | layers
    assert "training.embedding_learning_rate" in space


def test_choices_that_the_recipe_refuses_are_left_out() -> None:
    @register_model("tuned_by_half")
    class Half(PlainMLP):
        class Config(PlainMLP.Config):
            space: ClassVar[dict[str, Any]] = {"blocks": [1, 2, 3], "dropout": None}
            blocks: int = Field(default=2, ge=1, le=2)

    try:
        assert default_space(recipe_of("tuned_by_half"))["model.blocks"].choices == (1, 2)
    finally:
        del MODELS.entries["tuned_by_half"]
        del MODELS.modules["tuned_by_half"]
