"""The retrieval section: what a recipe may ask of a retriever."""

from pathlib import Path
from typing import Any

import pytest

from crosstower.errors import CrosstowerWarning, RecipeError
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.retrieval import History

RETRIEVAL = """
schema:
  columns:
    user: categorical
    item: categorical
    had: {kind: sequence, table: item}
model: {item: [item]}
retrieval: {item: item, user: user, history: had}
"""


def test_a_retrieval_recipe_takes_the_two_tower_model_and_comes_back() -> None:
    recipe = parse_recipe(RETRIEVAL)
    assert recipe.model == {"name": "two_tower", "item": ["item"]}
    assert recipe.retrieval is not None
    assert recipe.retrieval.objective == "sampled_softmax"
    assert parse_recipe(recipe.to_yaml()) == recipe


def test_item_tables_start_at_the_folder_of_the_recipe(tmp_path: Path) -> None:
    recipe = parse_recipe(RETRIEVAL, ["retrieval.items=items.csv"], folder=tmp_path)
    assert recipe.retrieval is not None
    assert recipe.retrieval.items == f"{tmp_path}/items.csv"


@pytest.mark.parametrize("given", ["had", "{column: had}", "{column: had, events: []}"])
def test_a_history_without_events_is_a_column(given: str) -> None:
    recipe = parse_recipe(RETRIEVAL, [f"retrieval.history={given}"])
    assert recipe.retrieval is not None
    assert recipe.retrieval.history == History(column="had")
    assert "  history: had\n" in recipe.to_yaml()


def test_a_bag_may_be_the_history() -> None:
    given = "retrieval.history={column: had, folds: 5}"
    recipe = parse_recipe(RETRIEVAL, [given, "schema.columns.had={kind: bag}"])
    assert recipe.retrieval is not None
    assert recipe.retrieval.history.folds == 5
    assert parse_recipe(recipe.to_yaml()).retrieval == recipe.retrieval


def test_events_extend_a_history_with_or_without_a_column() -> None:
    given = "{events: [click, purchase], length: 7}"
    recipe = parse_recipe(RETRIEVAL, [f"retrieval.history={given}"])
    assert recipe.retrieval is not None
    assert recipe.retrieval.history == History(events=("click", "purchase"), length=7)
    assert parse_recipe(recipe.to_yaml()) == recipe


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["schema.tasks={click: binary}"], "which learns from positives; remove the tasks"),
        (["data.engine=daft"], "data.engine: daft is not allowed in a retrieval recipe"),
        (["evaluation.slices=[user]"], "evaluation: not allowed in a retrieval recipe"),
        (["retrieval.history=user"], "'user' is not a sequence or bag column of the schema"),
        (["retrieval.history={column: had, folds: 3}"], "folds: 'had' is a sequence"),
        (["retrieval.history={column: had, folds: 1}"], "history.folds: expected a number"),
        (["retrieval.history=7"], r"history: expected a sequence column, or a mapping .*got 7"),
        (["retrieval.history={event: [a]}"], "history.event: unknown key; did you mean 'events'"),
        (["retrieval.history={events: [a, a]}"], "events: 'a' is named twice"),
        (["retrieval.history={events: ['']}"], "history.events.0: .*at least 1 character"),
        (["retrieval.history={length: 5}"], "length: has no effect without events"),
        (["retrieval.history={events: [a], length: 0}"], "history.length: expected a number"),
        (["retrieval.user=null"], "history: user is missing; set user: COLUMN"),
        (["retrieval.k=[10, 5]"], "ascending order, got"),
        (["retrieval.k=[0]"], "lengths of at least 1"),
        (["retrieval.margin=0.1"], "allowed only with objective: contrastive"),
        (["retrieval.calibration=0.5"], "calibration: allowed only with objective: gbce"),
        (
            ["retrieval.objective=gbce", "retrieval.margin=0.1"],
            "margin: allowed only with objective: contrastive",
        ),
        (["retrieval.objective=7"], "objective: expected a name, or {name"),
        (["retrieval.objective={margin: 0.1}"], "objective: expected a name, or {name"),
        (["retrieval.negatives.hrad=1"], "did you mean 'hard'"),
        (["training.monitor=click.auc"], "expected TASK.METRIC with a task of retrieval"),
        (["retrieval=null"], "empty; add a task"),
    ],
)
def test_wrong_retrieval_sections_are_explained(overrides: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse_recipe(RETRIEVAL, overrides)


@pytest.mark.parametrize(
    ("overrides", "name", "options"),
    [
        (
            ["retrieval.objective=contrastive", "retrieval.margin=0.1"],
            "contrastive",
            {"margin": 0.1},
        ),
        (
            [
                "retrieval.objective={name: contrastive, margin: 0.1}",
                "retrieval.negative_weight=5",
            ],
            "contrastive",
            {"margin": 0.1, "negative_weight": 5},
        ),
        (
            [
                "retrieval.objective=contrastive",
                "retrieval.margin=0.1",
                "retrieval.negative_weight=5",
            ],
            "contrastive",
            {"margin": 0.1, "negative_weight": 5},
        ),
        (["retrieval.objective=mine", "retrieval.calibration=0.5"], "mine", {"calibration": 0.5}),
    ],
)
def test_options_of_an_objective_that_had_keys_of_their_own_move_into_it(
    overrides: list[str], name: str, options: dict[str, Any]
) -> None:
    with pytest.warns(CrosstowerWarning, match="is now an option, objective: {name"):
        section = parse_recipe(RETRIEVAL, overrides).retrieval
    assert section is not None
    assert (section.objective_name, section.objective_options) == (name, options)


def test_an_override_sets_an_option_of_a_named_objective() -> None:
    overrides = ["retrieval.objective=gbce", "retrieval.objective.calibration=0.5"]
    recipe = parse_recipe(RETRIEVAL, overrides)
    for one in (recipe, parse_recipe(recipe.to_yaml())):
        assert one.retrieval is not None
        assert one.retrieval.objective_name == "gbce"
        assert one.retrieval.objective_options == {"calibration": 0.5}
