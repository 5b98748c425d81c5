import math

import pytest

from crosstower.errors import RecipeError
from crosstower.losses.registry import task_losses_of
from crosstower.ranking.monitor import all_loss, ranking_monitor
from crosstower.recipe.recipe import Recipe


def recipe_of(task: dict[str, object], **training: object) -> Recipe:
    schema = {"columns": {"x": "numeric"}, "tasks": {"y": task, "z": "regression"}}
    return Recipe.model_validate({"schema": schema, "training": training})


def watched(recipe: Recipe) -> tuple[str, bool]:
    return ranking_monitor(recipe, task_losses_of(recipe.schema_.tasks))


def test_the_default_is_the_metric_nearest_to_the_loss() -> None:
    binary = {"kind": "binary"}
    assert watched(recipe_of(binary)) == ("y.log_loss", False)
    weighted = recipe_of({**binary, "sample_weight": "w"})
    assert watched(weighted) == ("y.weighted_log_loss", False)
    assert watched(recipe_of({**binary, "loss": "bpr"}, group="q")) == ("y.ndcg@10", True)
    assert watched(recipe_of({**binary, "loss": "jrc"}, group="q"))[0] == "y.log_loss"


def test_the_order_of_groups_can_be_watched_with_any_loss() -> None:
    recipe = recipe_of({"kind": "binary"}, group="q", monitor="y.mrr@10")
    assert watched(recipe) == ("y.mrr@10", True)
    assert recipe.evaluation.group == "q"


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("ndcg@10", r"'y.ndcg@10' needs evaluation.group: COLUMN"),
        ("weighted_auc", r"'y.weighted_auc' needs schema.tasks.y.sample_weight: COLUMN"),
    ],
)
def test_a_metric_that_lacks_its_column_is_refused(metric: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        watched(recipe_of({"kind": "binary"}, monitor=f"y.{metric}"))


def test_the_loss_of_all_tasks_is_the_mean_of_the_relative_ones() -> None:
    recipe = recipe_of({"kind": "binary", "weight": 3})
    metrics = {"y.normalised_entropy": 0.8, "z.rmse": 1.0, "z.rmse_of_mean": 2.0}
    assert all_loss(recipe, metrics) == pytest.approx((3 * 0.8 + 0.25) / 4)
    constant = {**metrics, "z.rmse_of_mean": 0.0}
    assert all_loss(recipe, constant) == pytest.approx(0.8)
    schema = {"columns": {"x": "numeric"}, "tasks": {"z": "regression"}}
    only = Recipe.model_validate({"schema": schema})
    assert math.isnan(all_loss(only, {"z.rmse": 0.0, "z.rmse_of_mean": 0.0}))
