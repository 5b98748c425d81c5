"""The job of a recipe and its models, checked before any row is read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from crosstower.data.encoders.encoder_fit import draft_layout
from crosstower.errors import RecipeError
from crosstower.fitting.attention_memory import attention_notes
from crosstower.fitting.pretrained import check_pretrained
from crosstower.models.registry import MODELS, build_empty, config_of
from crosstower.nn.wide import unread_crosses
from crosstower.nn.world import ALONE, World
from crosstower.ranking.job import RankingJob
from crosstower.recipe.chains import chain_of
from crosstower.recipe.recipe import CHAINED, Recipe
from crosstower.recipe.tasks import Binary
from crosstower.training.job import Job
from crosstower.training.trackers.tracker import check_installed


def check_recipe(
    recipe: Recipe, world: World = ALONE
) -> tuple[Job, dict[str, dict[str, Any]], list[str]]:
    """Check all that can be checked before any row is read.

    Models are built on torch's meta device, so that a wrong option is found without memory for
    their weights.

    Returns:
        The job, without rows so far, the model sections by name, and sentences about crosses that
        models do not read and histories whose attention takes much memory.

    Raises:
        RecipeError: names the section and the key.

    """
    if recipe.training.pretrained:
        check_pretrained(recipe)
    if recipe.training.trackers:
        check_installed(recipe.training.trackers)
    job, models = _job_of(recipe, world), models_of(recipe)
    if CHAINED in models:
        _check_chain_weights(recipe, models[CHAINED]["chain"])
    notes = [*_unread(recipe, models), *attention_notes(recipe.schema_)]
    return job, models, notes


def _check_chain_weights(recipe: Recipe, chain: Sequence[str]) -> None:
    """Reject class weights that raise a task of a chain above the task before it.

    Weights multiply the odds in training, and a chain keeps P(buy) <= P(click) there, too.
    """
    tasks = [(name, recipe.schema_.tasks[name]) for name in chain]
    for (event, first), (name, then) in pairwise(tasks):
        if not (isinstance(first, Binary) and isinstance(then, Binary)):
            continue
        weights = [task.class_weights(None) for task in (first, then)]
        odds = [positive / negative for negative, positive in weights]
        known = first.class_weight != "balanced"
        if then.class_weight == "balanced" or (known and odds[0] < odds[1]):
            raise RecipeError(
                f"schema.tasks.{name}.class_weight: in a chain ({CHAINED}), P({name}) is at most"
                f" P({event}) in training as well, and weights that raise '{name}' more than"
                f" '{event}' would make both wrong; give both tasks the same weights, or use"
                " another multi-task model"
            )


def _job_of(recipe: Recipe, world: World) -> Job:
    if recipe.retrieval is None:
        if recipe.training.freeze is not None:
            raise RecipeError(
                f"training.freeze: {recipe.training.freeze} needs a retrieval section, and this"
                " recipe trains a ranker; remove the key"
            )
        return RankingJob(recipe, world)
    from crosstower.retrieval.job import RetrievalJob  # noqa: PLC0415 - a ranker needs none of it

    return RetrievalJob(recipe, world)


def _unread(recipe: Recipe, models: dict[str, dict[str, Any]]) -> list[str]:
    unread, layout = dict[str, list[str]](), draft_layout(recipe.served_schema)
    crossed = any(field.dim == 0 for field in layout.codes)
    for name, model in models.items():
        try:
            built = build_empty(layout, model)
        except RuntimeError:  # a custom model may need real weights: it is built after reading
            if name in MODELS.own([name]):
                continue
            raise
        for cross in unread_crosses(layout, built) if crossed else ():
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
