"""What a training is asked for: a recipe, its models, and whether its sections fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crosstower.errors import RecipeError
from crosstower.losses.registry import loss_of, task_losses_of
from crosstower.models.registry import config_of
from crosstower.ranking.job import ranking_monitor
from crosstower.recipe.arguments import described
from crosstower.recipe.blend import check_blend
from crosstower.recipe.calibration import check_calibration
from crosstower.recipe.chains import chain_of
from crosstower.recipe.recipe import CHAINED, Recipe, load_recipe
from crosstower.recipe.schema import Schema
from crosstower.recipe.validation import validate
from crosstower.retrieval.data.tower_columns import tower_columns_of
from crosstower.retrieval.job import retrieval_monitor


def as_recipe(recipe: Any, overrides: list[str]) -> Recipe:
    """Return the recipe of a file or of a run folder, of a schema, or itself.

    Raises:
        RecipeError: it is something else, or the file is wrong.

    """
    if isinstance(recipe, Schema):
        recipe = Recipe(schema=recipe)
    if isinstance(recipe, Recipe):
        if overrides:
            raise RecipeError("overrides only go with a recipe file; change the Recipe instead")
        return recipe
    if not isinstance(recipe, str | Path):
        raise RecipeError(
            f"recipe: expected the path of a YAML file, a Recipe or a Schema, got"
            f" {described(recipe)}; rows are given by data, with a schema that says what they are:"
            " fit(Schema(columns=..., tasks=...), data=rows)"
        )
    path = Path(recipe)
    return load_recipe(path / "recipe.yaml" if path.is_dir() else path, overrides)


def models_of(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Return the model and its baselines, which take over the options that they share with it.

    Raises:
        RecipeError: there is no such architecture, or it has no such option.

    """
    main = dict(recipe.model)
    models = {main["name"]: main}
    for name in recipe.evaluation.baselines if recipe.retrieval is None else ():
        known = config_of(name).model_fields
        shared = {k: v for k, v in main.items() if k in known}
        models.setdefault(name, {"name": name, **shared})
    if CHAINED in models and not models[CHAINED].get("chain"):
        models[CHAINED] |= {"chain": list(chain_of(recipe.schema_.tasks))}
    for name, model in models.items():
        options = {k: v for k, v in model.items() if k != "name"}
        validate(config_of(name), options, where="model")
    return models


def check_model(recipe: Recipe) -> None:
    """Refuse a recipe whose sections do not fit one another, before any row is read.

    Raises:
        RecipeError: names the section.

    """
    if recipe.retrieval is None:
        ranking_monitor(recipe)
        task_losses_of(recipe.schema_.tasks)
        check_calibration(recipe.calibration, recipe.schema_.kinds())
        if recipe.blend is not None:
            check_blend(recipe.blend, recipe.schema_.kinds())
            if recipe.evaluation.group is None:
                raise RecipeError(
                    "blend: whose rows stand in one list? Set evaluation.group to a column, such"
                    " as the user, the session or the request"
                )
        return
    retrieval_monitor(recipe)
    loss_of("retrieval", recipe.retrieval.objective, where="retrieval.objective")
    tower_columns_of(recipe)
    if recipe.model["name"] != "two_tower":
        raise RecipeError(
            f"model.name: {recipe.model['name']} does not retrieve; a retrieval recipe takes:"
            " two_tower"
        )
    if recipe.retrieval.objective == "contrastive" and recipe.model.get("normalise") is False:
        raise RecipeError("model.normalise: contrastive compares cosines; leave it true")
