"""Search space of a tuning run: from values of options to a recipe. No Optuna."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from crosstower.errors import RecipeError, did_you_mean
from crosstower.fitting.prepared import differences
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.fitting.tuning.measured import Measure, refuse_measured, refuse_other_measure
from crosstower.models.registry import config_of
from crosstower.recipe.overrides import override
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.tune import Dimension
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import read_yaml
from crosstower.training.optimizers.assign import embedding_rate

Space = Mapping[str, Dimension]
"""Dimensions by the dotted key of an option."""

_SECTIONS = ("model", "training", "retrieval", "schema")


def plain_of(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain data, without its `tune` section."""
    plain: dict[str, Any] = read_yaml(recipe.to_yaml())
    plain.pop("tune", None)
    return plain


def applied(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a recipe with other values of some options, without its `tune` section.

    Args:
        recipe: to change.
        values: by dotted key, such as `{"training.epochs": 3}`.

    Raises:
        RecipeError: the values do not fit the recipe.

    """
    plain = plain_of(recipe)
    for key in values:
        _name_section(plain["model"], recipe, key)
    override(plain, {key: _plain(value) for key, value in values.items()})
    return validate(Recipe, plain)


def _name_section(model: dict[str, Any], recipe: Recipe, key: str) -> None:
    """Write out a section of the model that is left out or given by its name, such as its trunk."""
    parts = key.split(".")
    if len(parts) < 3 or parts[0] != "model" or isinstance(model.get(parts[1]), dict):
        return
    name = getattr(getattr(_config(recipe), parts[1], None), "name", None)
    if name is not None:
        model[parts[1]] = {"name": name}


def _config(recipe: Recipe) -> BaseModel:
    options = {k: v for k, v in recipe.model.items() if k != "name"}
    return validate(config_of(str(recipe.model["name"])), options, where="model")


def check_space(recipe: Recipe, space: Space) -> None:
    """Reject a space with an option or a value that a checked recipe does not take.

    Every choice and both ends of every range are set in the recipe, one at a time. A value that
    changes what trials are compared by is rejected, too.

    Raises:
        RecipeError: names the key and the value.

    """
    own = _measure(recipe)
    for key, dimension in space.items():
        _check_key(recipe, key)
        for value in dimension.ends():
            try:
                tried = _measure(applied(recipe, {key: value}))
            except RecipeError as error:
                raise RecipeError(
                    f"tune.space.{key}: {encoded(value)} is rejected: {error}"
                ) from error
            refuse_other_measure(key, encoded(value), own, tried)


def _measure(recipe: Recipe) -> Measure:
    return recipe, check_recipe(recipe)[0].monitor[0]


def refusal(recipe: Recipe, key: str, value: Any) -> RecipeError | None:
    """Return why a recipe does not take a value of an option; None if it does."""
    try:
        check_recipe(applied(recipe, {key: value}))
    except RecipeError as error:
        return error
    return None


def _check_key(recipe: Recipe, key: str) -> None:
    refuse_measured(key)
    section = key.partition(".")[0]
    if section not in _SECTIONS or section == key:
        hint = did_you_mean(section, list(_SECTIONS))
        raise RecipeError(
            f"tune.space.{key}: expected an option of {', '.join(_SECTIONS)}, such as"
            f" training.learning_rate{hint}"
        )
    parts = key.split(".")
    named = {"columns": recipe.schema_.columns, "tasks": recipe.schema_.tasks}
    if section == "schema" and len(parts) > 2 and parts[1] in named:
        known = named[parts[1]]
        if parts[2] not in known:
            one = parts[1].removesuffix("s")
            raise RecipeError(
                f"tune.space.{key}: the recipe has no {one} '{parts[2]}'"
                f"{did_you_mean(parts[2], list(known))}; its {parts[1]}: {', '.join(known)}"
            )


def encodes_again(recipe: Recipe, space: Space) -> bool:
    """Return whether trials differ in how rows are encoded, so that each must read them itself."""
    return any(
        list(differences(recipe, applied(recipe, {key: value})))
        for key, dimension in space.items()
        for value in dimension.ends()
    )


def current_values(recipe: Recipe, space: Space) -> dict[str, Any]:
    """Return the recipe's own value of every option whose dimension contains it."""
    whole = recipe.model_dump(mode="json", by_alias=True)
    whole["model"] = _config(recipe).model_dump(mode="json")
    rate = embedding_rate(recipe.training, retrieves=recipe.retrieval is not None)
    whole["training"]["embedding_learning_rate"] = rate
    values = {key: _walked(whole, key) for key in space}
    return {key: value for key, value in values.items() if contains(space[key], value)}


def contains(dimension: Dimension, value: Any) -> bool:
    """Return whether a value is one of a dimension's.

    >>> contains(Dimension(low=1, high=4), 3), contains(Dimension(choices=(None, 8)), 4)
    (True, False)
    """
    if dimension.choices:
        return encoded(value) in map(encoded, dimension.choices)
    low, high = dimension.low, dimension.high
    if isinstance(value, bool) or not isinstance(value, int | float) or low is None or high is None:
        return False
    if not low <= value <= high or (dimension.whole and value != int(value)):
        return False
    steps = 0.0 if dimension.step is None else (value - low) / dimension.step
    return abs(steps - round(steps)) < 1e-9 if dimension.step is not None else True


def suggested(trial: Any, space: Space) -> dict[str, Any]:
    """Return the values that an Optuna trial tries, by option."""
    return {key: _suggest(trial, key, dimension) for key, dimension in space.items()}


def _suggest(trial: Any, key: str, dimension: Dimension) -> Any:
    if dimension.choices:
        return decoded(trial.suggest_categorical(key, [encoded(c) for c in dimension.choices]))
    low, high, log = dimension.low, dimension.high, dimension.log
    if dimension.whole:
        return trial.suggest_int(key, low, high, log=log, step=dimension.step or 1)
    return trial.suggest_float(key, low, high, log=log, step=dimension.step)


def encoded(value: Any) -> str:
    """Return a choice as text, which Optuna stores.

    >>> encoded((128, 64)), encoded(None)
    ('[128, 64]', 'null')
    """
    return json.dumps(value, sort_keys=True, default=str)


def decoded(text: str) -> Any:
    """Return the choice of a text by `encoded`."""
    return json.loads(text)


def stored_values(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as Optuna stores them: choices as text."""
    return {k: encoded(v) if space[k].choices else v for k, v in values.items()}


def given_values(space: Space, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return values from those that Optuna stores."""
    return {k: decoded(v) if space[k].choices else v for k, v in stored.items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _walked(plain: Any, key: str) -> Any:
    for part in key.split("."):
        plain = plain.get(part) if isinstance(plain, dict) else None
    return plain
