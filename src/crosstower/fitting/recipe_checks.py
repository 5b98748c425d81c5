"""The recipe of a training, its models, and what is checked before any row is read."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, cast

from crosstower.data.encoders.fit import draft_layout
from crosstower.errors import RecipeError
from crosstower.losses.registry import loss_of, task_losses_of
from crosstower.models.registry import MODELS, build_empty, config_of
from crosstower.nn.wide import unread_crosses
from crosstower.ranking.job import ranking_monitor
from crosstower.recipe.arguments import described
from crosstower.recipe.blend import check_blend
from crosstower.recipe.calibration import check_calibration
from crosstower.recipe.chains import chain_of
from crosstower.recipe.recipe import CHAINED, Recipe, load_recipe
from crosstower.recipe.schema import Schema
from crosstower.recipe.split import GivenSplit
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


def located(recipe: Recipe, data: Any) -> tuple[Recipe, Any]:
    """Return the recipe with the paths of its rows, absolute; tables stay apart.

    Args:
        recipe: as the user has it.
        data: rows for `training_source`: a path, a table, a mapping of either, or None.

    Returns:
        The recipe, and the rows that it does not name.

    """
    if isinstance(data, str | PathLike):
        named = {"path": str(data)}
    elif isinstance(data, Mapping):
        parts = cast("Mapping[str, Any]", data)
        keys = {"train": "path", "valid": "valid", "test": "test"}
        if set(parts) != set(keys) or not all(
            isinstance(p, str | PathLike) for p in parts.values()
        ):
            return _anchored(recipe), data
        named = {keys[name]: str(path) for name, path in parts.items()} | {"split": GivenSplit()}
    else:
        return _anchored(recipe), data
    rows = recipe.data.model_copy(update=named)
    return _anchored(recipe.model_copy(update={"data": rows})), None


def _anchored(recipe: Recipe) -> Recipe:
    """Return the recipe with all paths of files absolute, from the working folder."""

    def absolute(path: str | None) -> str | None:
        return path if path is None or path.startswith("world:") else str(Path.cwd() / path)

    data = recipe.data
    paths: dict[str, Any] = {n: absolute(getattr(data, n)) for n in ("path", "valid", "test")}
    paths["joins"] = tuple(j.model_copy(update={"path": absolute(j.path)}) for j in data.joins)
    sections: dict[str, Any] = {"data": data.model_copy(update=paths)}
    if recipe.retrieval is not None:
        items = {"items": absolute(recipe.retrieval.items)}
        sections["retrieval"] = recipe.retrieval.model_copy(update=items)
    return recipe.model_copy(update=sections)


def check_recipe(recipe: Recipe) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Check all that can be checked before any row is read.

    Models are built on torch's meta device, so that a wrong option is found without memory for
    their weights.

    Returns:
        The model sections by name, and sentences about crosses that models do not read.

    Raises:
        RecipeError: names the section and the key.

    """
    _check_sections(recipe)
    models = models_of(recipe)
    return models, _unread(recipe, models)


def _unread(recipe: Recipe, models: dict[str, dict[str, Any]]) -> list[str]:
    unread, layout = dict[str, list[str]](), draft_layout(recipe.schema_)
    for name, model in models.items():
        try:
            built = build_empty(layout, model)
        except (
            RuntimeError
        ):  # a model of one's own may need real weights: it is built after reading
            if name in MODELS.own([name]):
                continue
            raise
        for cross in unread_crosses(layout, built):
            unread.setdefault(cross, []).append(name)
    return [
        f"{cross}: a cross without dim, which only a wide side reads; not used by"
        f" {', '.join(names)}: set its dim, or use wide_deep"
        for cross, names in unread.items()
    ]


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
    return models


def _check_sections(recipe: Recipe) -> None:
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
