from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.fitting.tuning.space import check_space
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.tune import Dimension

TEXT = """
name: small
data: {path: rows.parquet}
schema:
  columns: {user: categorical, age: numeric}
  tasks:
    click: {kind: binary, column: stars, threshold: 4}
    time: {kind: regression, column: seconds}
model: {name: mlp, hidden: [8]}
training: {%s}
"""


def check(training: str, key: str, values: list[Any]) -> None:
    recipe = parse_recipe(TEXT % training)
    check_space(recipe, {key: Dimension.model_validate(values)})


@pytest.mark.parametrize(
    ("training", "key", "values", "words"),
    [
        ("", "schema.tasks.click.threshold", [3, 4], "it changes the labels of 'click'"),
        ("", "schema.tasks.click.column", ["stars", "grade"], "the labels of 'click'"),
        ("", "schema.tasks.click", [{"kind": "binary"}], "the labels of 'click'"),
        ("monitor: time.rmse", "schema.tasks.time.clip", [None, [0, 9]], "the labels of 'time'"),
        ("monitor: time.rmse", "schema.tasks.time.when", [None, "click"], "the labels of 'time'"),
        ("monitor: all.loss", "schema.tasks.time.clip", [None, [0, 9]], "the labels of 'time'"),
        (
            "monitor: all.loss",
            "schema.tasks",
            [{"click": "binary", "like": "binary"}],
            "it changes the labels of",
        ),
        (
            "group: request",
            "schema.tasks.click.loss",
            ["cross_entropy", "softmax"],
            '"softmax" is rejected: .* by click.ndcg@10, .* by click.log_loss; set',
        ),
        (
            "",
            "schema.tasks.click.sample_weight",
            [None, "w"],
            "compared by click.weighted_log_loss, and those of the recipe by click.log_loss",
        ),
        (
            "monitor: all.loss",
            "schema.tasks.time.weight",
            [1.0, 2.0],
            "the weight of 'time' in all.loss",
        ),
        ("", "calibration.method", ["none", "platt"], "compared before calibration"),
    ],
)
def test_what_trials_are_compared_by_is_not_searched(
    training: str, key: str, values: list[Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        check(training, key, values)


def test_labels_of_a_task_that_the_measured_one_needs_are_kept() -> None:
    text = TEXT.replace("column: seconds", "column: seconds, when: click") % "monitor: time.rmse"
    wanted = {"schema.tasks.click.threshold": Dimension.model_validate([3, 4])}
    with pytest.raises(RecipeError, match="it changes the labels of 'click'"):
        check_space(parse_recipe(text), wanted)


def test_other_weights_of_rows_give_another_metric() -> None:
    text = TEXT.replace("threshold: 4", "threshold: 4, sample_weight: w") % ""
    wanted = {"schema.tasks.click.sample_weight": Dimension.model_validate(["w", "v"])}
    with pytest.raises(RecipeError, match=r"weights of rows in click.weighted_log_loss"):
        check_space(parse_recipe(text), wanted)


@pytest.mark.parametrize(
    ("training", "key", "values"),
    [
        ("group: r, monitor: click.ndcg@10", "schema.tasks.click.loss", ["softmax", "jrc"]),
        ("monitor: click.auc", "schema.tasks.click.sample_weight", [None, "w"]),
        ("", "schema.tasks.click.label_smoothing", [0.0, 0.1]),
        ("", "schema.tasks.time.log1p", [False, True]),
        ("monitor: click.auc", "schema.tasks.time.clip", [None, [0, 9]]),
        ("", "schema.tasks.time.weight", [1.0, 2.0]),
        ("", "training.group", [None, "request"]),
        ("group: request, monitor: click.gauc", "training.group", ["request", "user"]),
    ],
)
def test_options_that_only_train_are_searched(training: str, key: str, values: list[Any]) -> None:
    check(training, key, values)
