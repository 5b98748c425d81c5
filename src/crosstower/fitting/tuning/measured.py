"""What trials are compared by, which no option of a search space may change. No Optuna."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crosstower.errors import RecipeError
from crosstower.evaluation.metrics.registry import METRICS
from crosstower.recipe.recipe import ALL_LOSS, Recipe

Measure = tuple[Recipe, str]
"""A recipe, and the metric that its training monitors."""

_LISTS = "trials would be measured on other lists"
_FIXED = {
    "training.monitor": "it is the metric that trials are compared by",
    "training.seed": "all trials have the same seed; --seeds trains the winner with several",
    "training.device": "it changes no result",
    "training.refit": "trials are compared by validation rows, which a refit trains on",
    "training.trackers": "it changes no result",
    "retrieval.item": _LISTS,
    "retrieval.user": _LISTS,
    "retrieval.items": _LISTS,
    "retrieval.where": _LISTS,
    "retrieval.k": _LISTS,
    "retrieval.valid_queries": _LISTS,
    "retrieval.exclude_seen": _LISTS,
    "retrieval.seen_relevant": _LISTS,
    "model.name": "each model has options of its own; tune the models one after the other",
    "calibration": "trials are compared before calibration, which changes no trial's value",
}
_LABELS_BY = ("kind", "column", "positive", "threshold", "after", "when", "clip", "low", "high")
"""Options of a task that decide its labels."""


def refuse_measured(key: str) -> None:
    """Raise RecipeError for an option that is fixed in a search."""
    for fixed, reason in _FIXED.items():
        if key == fixed or key.startswith(f"{fixed}."):
            raise RecipeError(f"tune.space.{key}: cannot be searched, as {reason}; remove it")


def refuse_other_measure(key: str, value: str, own: Measure, tried: Measure) -> None:
    """Reject a value with which a trial's metric cannot be compared with that of the recipe.

    Args:
        key: of the option.
        value: of the option, as text.
        own: of the recipe.
        tried: of the recipe with the value.

    Raises:
        RecipeError: the metric, the labels or the weights differ.

    """
    monitor, other = own[1], tried[1]
    if monitor != other:
        raise RecipeError(
            f"tune.space.{key}: {value} is rejected: its trials would be compared by {other}, and"
            f" those of the recipe by {monitor}; set training.monitor to one metric for all trials"
        )
    before, after = (dict(_measured(recipe, monitor)) for recipe, _ in (own, tried))
    for name in {**before, **after}:
        if after.get(name) != before.get(name):
            raise RecipeError(
                f"tune.space.{key}: cannot be searched, as it changes {name}, by which trials are"
                " compared; remove it"
            )


def _with_needed(task: str, recipe: Recipe) -> Iterator[str]:
    """Yield a task and those that its labels depend on."""
    tasks, name = recipe.schema_.tasks, task
    while name is not None and name in tasks:
        yield name
        name = tasks[name].needs


def _measured(recipe: Recipe, monitor: str) -> Iterator[tuple[str, Any]]:
    """Yield the inputs of a metric, and their values in a recipe."""
    task, _, metric = monitor.rpartition(".")
    tasks = recipe.schema_.tasks
    for name in list(tasks) if monitor == ALL_LOSS else _with_needed(task, recipe):
        plain = tasks[name].model_dump(mode="json")
        yield f"the labels of '{name}'", [plain.get(o) for o in _LABELS_BY]
        if monitor == ALL_LOSS:
            yield f"the weight of '{name}' in {ALL_LOSS}", tasks[name].weight
    watched = METRICS.entries.get(metric)
    if task not in tasks or watched is None:
        return
    if watched.weighted:
        yield f"the weights of rows in {monitor}", tasks[task].sample_weight
