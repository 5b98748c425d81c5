"""A ranking training: what can be watched, what labels and columns it needs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors import safe_open

import crosstower as ct
from crosstower.errors import DataError, RecipeError
from crosstower.evaluation.metrics.tasks import DEFAULT_METRIC
from crosstower.fitting.fit import fit
from crosstower.losses.registry import task_losses_of
from crosstower.ranking.monitor import ranking_monitor
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.training.history import history

from ..fitting.test_fit import quick


def test_gauc_cannot_be_watched_without_a_group(recipe_text: str, folder: Path) -> None:
    overrides = ["training.monitor=click.gauc", "evaluation.group=null"]
    with pytest.raises(RecipeError, match=r"needs evaluation\.group"):
        quick(parse_recipe(recipe_text, overrides, folder=folder), folder / "a")


def monitor_of(kind: str, metric: str | None) -> tuple[str, bool]:
    schema = {"columns": {"x": "numeric"}, "tasks": {"y": kind}}
    training = {"monitor": metric and f"y.{metric}"}
    recipe = Recipe.model_validate({"schema": schema, "training": training})
    return ranking_monitor(recipe, task_losses_of(recipe.schema_.tasks))


def test_the_default_metric_of_each_kind_can_be_watched() -> None:
    for kind, metric in DEFAULT_METRIC.items():
        assert monitor_of(kind, None) == monitor_of(kind, metric) == (f"y.{metric}", False)
    assert monitor_of("binary", "auc") == ("y.auc", True)


def test_a_metric_that_the_task_does_not_have_is_named() -> None:
    with pytest.raises(RecipeError, match=r"for a binary task: no metric 'acc'.* allowed: auc, ga"):
        monitor_of("binary", "acc")
    with pytest.raises(RecipeError, match="'majority_rate'"):
        monitor_of("binary", "majority_rate")
    with pytest.raises(RecipeError, match=r"for a regression task: no metric 'auc'.*: rmse, m"):
        monitor_of("regression", "auc")


def test_early_stopping_can_watch_gauc(recipe_text: str, folder: Path) -> None:
    recipe = parse_recipe(recipe_text, ["training.monitor=click.gauc"], folder=folder)
    run = quick(recipe, folder / "a")
    lines = (run.model_folder("wide_deep", 0) / "metrics.jsonl").read_text().splitlines()
    assert all(0 < json.loads(line)["valid"]["click.gauc"] < 1 for line in lines)


def test_all_tasks_together_can_decide_when_to_stop(recipe: Recipe, tmp_path: Path) -> None:
    training = recipe.training.model_copy(update={"monitor": "all.loss"})
    evaluation = recipe.evaluation.model_copy(update={"baselines": ()})
    tasks = recipe.schema_.tasks
    tasks = tasks | {"click": tasks["click"].model_copy(update={"weight": 3.0})}
    schema = recipe.schema_.model_copy(update={"tasks": tasks})
    changes = {"training": training, "evaluation": evaluation, "schema_": schema}
    run = quick(recipe.model_copy(update=changes), tmp_path / "a")
    for record in history(run, "wide_deep", 0):
        valid = record["valid"]
        seconds = valid["watch_time.rmse"] / valid["watch_time.rmse_of_mean"]
        expected = (3 * valid["click.normalised_entropy"] + seconds**2) / 4
        assert valid["all.loss"] == pytest.approx(expected)
    losses = [record["valid"]["all.loss"] for record in history(run, "wide_deep", 0)]
    position = safe_open(run.model_folder("wide_deep", 0) / "last.safetensors", "pt").metadata()
    assert json.loads(position["position"])["best_epoch"] == int(np.argmin(losses))


@pytest.mark.parametrize("task", [{"kind": "regression"}, {"kind": "rating"}])
def test_equal_labels_are_refused_before_training(
    frame: pl.DataFrame, tmp_path: Path, task: dict[str, Any]
) -> None:
    schema = ct.Schema.model_validate({"columns": {"genre": "categorical"}, "tasks": {"y": task}})
    with pytest.raises(DataError, match=r"task 'y': all [\d,]+ labels of the train split are 3, "):
        fit(schema, data=frame.with_columns(y=pl.lit(3.0)), out=tmp_path / "a", quiet=True)
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_crosses_that_a_model_does_not_read_are_named(recipe_text: str, folder: Path) -> None:
    override = "evaluation.baselines=[logistic_regression, mlp]"
    wide = quick(parse_recipe(recipe_text, [override], folder=folder), folder / "a")
    (note,) = [note for note in wide.info.facts.notes if "cross" in note]
    assert note.startswith("user_genre: a cross without dim")
    assert "not used by logistic_regression, mlp: set its dim" in note
    embedded = [override, "schema.columns.user_genre.dim=2"]
    all_read = quick(parse_recipe(recipe_text, embedded, folder=folder), folder / "b")
    assert not any("cross" in note for note in all_read.info.facts.notes)
