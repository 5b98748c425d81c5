from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.fitting.tuning.default_space import default_space
from crosstower.fitting.tuning.space import (
    applied,
    check_space,
    contains,
    current_values,
    decoded,
    encoded,
    encodes_again,
    given_values,
    stored_values,
)
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.training import Training
from crosstower.recipe.tune import Dimension

TEXT = """
name: small
data: {path: rows.parquet}
schema:
  columns: {user: categorical, age: numeric}
  tasks: {click: binary, like: binary}
model: {name: mlp, hidden: [8], dropout: 0.2}
tune: {trials: 3}
"""


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe(TEXT)


def space(**dimensions: Any) -> dict[str, Dimension]:
    return {k.replace("__", "."): Dimension.model_validate(d) for k, d in dimensions.items()}


def test_values_are_set_by_their_dotted_path(recipe: Recipe) -> None:
    values = {
        "model.hidden": [16, 8],
        "training.learning_rate": 0.01,
        "schema.columns.user.dim": 4,
        "schema.tasks.like.weight": 0.5,
    }
    changed = applied(recipe, values)
    assert changed.model == {"name": "mlp", "hidden": [16, 8], "dropout": 0.2}
    assert changed.training.learning_rate == 0.01
    assert changed.schema_.columns["user"].dim == 4
    assert changed.schema_.tasks["like"].weight == 0.5
    assert changed.tune is None
    assert applied(recipe, {}) == recipe.model_copy(update={"tune": None})


@pytest.mark.parametrize("model", ["{name: mmoe, trunk: mlp}", "{name: mmoe}"])
def test_a_trunk_takes_options_in_any_form(model: str) -> None:
    given = parse_recipe(TEXT.replace("{name: mlp, hidden: [8], dropout: 0.2}", model))
    changed = applied(given, {"model.trunk.hidden": [8]}).model
    assert changed["trunk"] == {"name": "mlp", "hidden": [8]}
    check_space(given, space(model__trunk__hidden=[[8], [16]]))


@pytest.mark.parametrize(
    ("key", "dimension", "words"),
    [
        ("training.learning_rat", {"low": 1, "high": 2}, "did you mean 'learning_rate'"),
        ("training.learning_rate", {"low": 0.0, "high": 0.1}, "learning_rate: 0.0 is rejected"),
        ("model.hiden", [[8]], "did you mean 'hidden'"),
        (
            "model.dropout",
            {"low": 0.0, "high": 1.5},
            "model.dropout: 1.5 is rejected: .*less",
        ),
        ("schema.columns.usr.dim", [4], "no column 'usr'; did you mean 'user'.*: user, age$"),
        ("schema.tasks.clik.weight", [4], "no task 'clik'; did you mean 'click'"),
        ("schema.columns", [4], "schema.columns: 4 is rejected"),
        ("data.path", ["a", "b"], "expected an option of model, training"),
        ("trainin.epochs", [1], "did you mean 'training'"),
        ("training.monitor", ["click.auc"], "metric that trials are compared by"),
        ("training.seed", [1, 2], "--seeds trains the winner"),
        ("model.name", ["mlp", "dcn_v2"], "tune the models one after the other"),
    ],
)
def test_a_space_that_does_not_fit_is_refused(
    recipe: Recipe, key: str, dimension: Any, words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        check_space(recipe, {key: Dimension.model_validate(dimension)})


def test_options_of_the_encoding_are_told_apart(recipe: Recipe) -> None:
    assert not encodes_again(recipe, space(schema__columns__user__dim=[4, 8], model__dropout=[0.1]))
    assert encodes_again(recipe, space(schema__columns__user__min_count=[2, 5]))
    assert encodes_again(recipe, space(schema__tasks__click__class_weight=[None, "balanced"]))
    assert not encodes_again(recipe, space(schema__tasks__click__class_weight=[None, {1: 3.0}]))


def test_the_recipes_own_values_are_found(recipe: Recipe) -> None:
    wanted = space(
        model__dropout={"low": 0.0, "high": 0.5},  # given
        model__embedding_dim=[8, 16],  # the model's default
        model__hidden=[[8], [64]],
        training__learning_rate={"low": 1e-2, "high": 1e-1},  # does not contain it
        training__embedding_learning_rate={"low": 1e-4, "high": 1e-2},  # that of the optimiser
        training__batch_size=[None, 128],
        schema__tasks__click__weight={"low": 0.5, "high": 2.0},
    )
    assert current_values(recipe, wanted) == {
        "model.dropout": 0.2,
        "model.embedding_dim": 16,
        "model.hidden": [8],
        "training.embedding_learning_rate": 1e-3,
        "training.batch_size": None,
        "schema.tasks.click.weight": 1.0,
    }


@pytest.mark.parametrize(
    ("dimension", "value", "inside"),
    [
        ({"low": 8, "high": 64, "step": 8}, 24, True),
        ({"low": 8, "high": 64, "step": 8}, 25, False),
        ({"low": 1, "high": 4}, 2.5, False),
        ({"low": 0.0, "high": 1.0}, True, False),
        ({"low": 0.0, "high": 1.0}, None, False),
        ([[8], [16, 8]], (16, 8), True),
    ],
)
def test_a_dimension_contains_what_it_draws(dimension: Any, value: Any, inside: bool) -> None:
    assert contains(Dimension.model_validate(dimension), value) is inside


def test_choices_are_stored_as_text_and_read_back() -> None:
    dimensions = space(model__hidden=[[8], None], training__learning_rate={"low": 0.1, "high": 1.0})
    values = {"model.hidden": [8], "training.learning_rate": 0.5}
    stored = stored_values(dimensions, values)
    assert stored == {"model.hidden": "[8]", "training.learning_rate": 0.5}
    assert given_values(dimensions, stored) == values
    assert decoded(encoded((1, 2))) == [1, 2]


RETRIEVER = """
name: small
data: {path: rows.parquet}
schema:
  columns: {user: categorical, item: categorical}
model: {name: two_tower, item: [item]}
retrieval: {item: item, user: user}
"""


@pytest.mark.parametrize(
    ("text", "options", "rate"),
    [
        (TEXT, {}, 1e-3),
        (TEXT, {"embedding_optimizer": "adagrad"}, 0.02),
        (TEXT, {"embedding_learning_rate": 0.5}, 0.5),
        (RETRIEVER, {}, 0.01),
        (RETRIEVER, {"embedding_learning_rate": 0.5}, 0.5),
    ],
)
def test_the_first_trial_has_the_rate_that_trains_the_recipe(
    text: str, options: dict[str, Any], rate: float
) -> None:
    recipe = parse_recipe(text)
    recipe = recipe.model_copy(update={"training": Training(**options)})
    (key,) = found = space(training__embedding_learning_rate={"low": 1e-4, "high": 1.0})
    assert current_values(recipe, found) == {key: rate}
    whole = default_space(recipe)[key]
    assert (whole.low, whole.high) == pytest.approx((rate / 10, rate * 10))
