"""The validation metric that early stopping watches."""

from __future__ import annotations

import math
from collections.abc import Mapping

from crosstower.errors import RecipeError
from crosstower.evaluation.metrics.registry import METRICS
from crosstower.evaluation.metrics.tasks import DEFAULT_METRIC, RANKING_METRIC, WEIGHTED_METRIC
from crosstower.losses.registry import Loss
from crosstower.recipe.recipe import ALL_LOSS, Recipe
from crosstower.recipe.tasks import Task


def ranking_monitor(recipe: Recipe, losses: Mapping[str, Loss]) -> tuple[str, bool]:
    """Return TASK.METRIC to watch, and whether higher is better.

    Args:
        recipe: with tasks.
        losses: by task.

    Raises:
        RecipeError: there is no such metric, or it needs groups.

    """
    tasks = recipe.schema_.tasks
    first = next(iter(tasks))
    if recipe.training.monitor == ALL_LOSS:
        return ALL_LOSS, False
    monitor = recipe.training.monitor or f"{first}.{_default_metric(tasks[first], losses[first])}"
    task, _, metric = monitor.rpartition(".")
    kind = tasks[task].kind
    watched = METRICS.get(
        metric,
        where=f"training.monitor: for a {kind} task",
        fits=lambda found: kind in found.kinds and found.better is not None,
    )
    if watched.weighted and recipe.schema_.tasks[task].sample_weight is None:
        raise RecipeError(
            f"training.monitor: '{monitor}' needs schema.tasks.{task}.sample_weight: COLUMN"
        )
    if watched.grouped and recipe.evaluation.group is None:
        raise RecipeError(f"training.monitor: '{monitor}' needs evaluation.group: COLUMN")
    return monitor, watched.better == "higher"


def _default_metric(task: Task, loss: Loss) -> str:
    """Return the metric to watch for a task: the one nearest to its loss."""
    if not loss.calibrated:
        return RANKING_METRIC
    return DEFAULT_METRIC[task.kind] if task.sample_weight is None else WEIGHTED_METRIC[task.kind]


def all_loss(recipe: Recipe, metrics: Mapping[str, float]) -> float:
    """Return the weighted mean over tasks of the loss relative to that of a constant prediction.

    The normalised entropy of a binary task, MSE / variance of the others: both are 1 for a model
    that has learned nothing, whatever the task's base rate or unit.
    """
    total, weights = 0.0, 0.0
    for name, task in recipe.schema_.tasks.items():
        if task.kind == "binary":
            relative = metrics[f"{name}.normalised_entropy"]
        else:
            constant = metrics[f"{name}.rmse_of_mean"]
            if constant == 0.0:  # labels that are equal here tell models apart by no ratio
                continue
            relative = (metrics[f"{name}.rmse"] / constant) ** 2
        total, weights = total + task.weight * relative, weights + task.weight
    return total / weights if weights else math.nan
