import pytest
import yaml

from crosstower.errors import RecipeError
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import RandomSplit, TimeSplit

SHORT = "schema: {columns: {user: categorical}, tasks: {click: binary}}"


def test_the_shortest_recipe_has_defaults() -> None:
    recipe = parse_recipe(SHORT)
    assert recipe.model == {"name": "dcn_v2"}
    assert recipe.data.split == RandomSplit(fractions=(0.8, 0.1, 0.1), seed=0)
    assert recipe.evaluation.baselines == ("logistic_regression", "mlp")


def test_a_recipe_survives_the_way_to_yaml_and_back(recipe_text: str) -> None:
    overrides = ["data.split={kind: time, column: when}", "data.joins=[{path: u.csv, on: user_id}]"]
    recipe = parse_recipe(recipe_text, overrides)
    again = parse_recipe(recipe.to_yaml())
    assert again == recipe
    assert isinstance(again.data.split, TimeSplit)


def test_a_time_format_of_a_column_that_is_no_time_is_refused() -> None:
    split = "data.split={kind: time, column: when}"
    with pytest.raises(RecipeError, match=r"data.times.wen: not the time .* did you mean 'when'"):
        parse_recipe(SHORT, [split, "data.times={wen: ms}"])
    with pytest.raises(RecipeError, match=r"data.times.when: not the time .*; allowed: none"):
        parse_recipe(SHORT, ["data.times={when: ms}"])


def test_the_json_schema_knows_every_section() -> None:
    schema = Recipe.model_json_schema(by_alias=True)
    assert set(schema["properties"]) == {
        "name",
        "data",
        "schema",
        "model",
        "training",
        "calibration",
        "blend",
        "rules",
        "bias",
        "evaluation",
        "retrieval",
        "tune",
        "sources",
    }
    assert "Encoded rows beyond this size" in str(schema)


def test_the_losses_of_all_tasks_can_be_watched() -> None:
    recipe = parse_recipe(f"{SHORT}\ntraining: {{monitor: all.loss}}")
    assert recipe.training.monitor == "all.loss"


def test_calibration_and_blend_are_of_rankers() -> None:
    text = """
schema: {columns: {user: categorical, item: categorical}}
model: {item: [item]}
retrieval: {item: item, user: user}
blend: {weights: {click: 1}}
"""
    with pytest.raises(RecipeError, match="calibration, blend: not allowed in a retrieval recipe"):
        parse_recipe(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the recipe is empty or not a mapping; expected keys such as data, schema and model"),
        ("- a\n- b", "the recipe is empty or not a mapping"),
        ("a: [", "the recipe is not valid YAML"),
        ("name: x", "schema: missing"),
        (f"{SHORT}\ntrainning: {{}}", "trainning: unknown key; did you mean 'training'"),
        (
            f"{SHORT}\ntraining: {{epoch: 3}}",
            r"training\.epoch: unknown key; did you mean 'epochs'",
        ),
        (f"{SHORT}\ntraining: {{epochs: 0}}", r"training\.epochs: .* got 0"),
        (f"{SHORT}\ntraining: {{device: tpu}}", r"training\.device: .* got 'tpu'"),
        (f"{SHORT}\ntraining: {{monitor: like.auc}}", "expected TASK.METRIC with a task of click"),
        (f"{SHORT}\nmodel: {{name: 2}}", r"model: name: expected text, .* got 2"),
        (f"{SHORT}\nmodel: [dcn_v2]", "model: expected a mapping"),
        (f"{SHORT}\nname: ../up", "name: .* got '../up'"),
        (
            f"{SHORT}\ndata: {{split: {{fractions: [0.5, 0.5, 0.5]}}}}",
            r"data\.split\.kind: missing",
        ),
        (
            f"{SHORT}\ndata: {{split: {{kind: random, fractions: [0.5, 0.5, 0.5]}}}}",
            r"data\.split\.fractions: expected three positive shares that sum to 1, got \[0\.5",
        ),
        (f"{SHORT}\ndata: {{split: {{kind: time}}}}", r"data\.split\.column: missing"),
        (f"{SHORT}\ndata: {{split: {{kind: chance}}}}", r"data\.split: .*'chance'"),
        ("schema: {columns: {}, tasks: {y: binary}}", r"schema\.columns: .* at least 1 item"),
        (
            "schema: {columns: {a: {kind: numeric, dims: 3}}, tasks: {y: binary}}",
            r"schema\.columns\.a\.dims: unknown key; did you mean 'dim'",
        ),
    ],
)
def test_a_wrong_key_is_named(text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse_recipe(text)


def test_yaml_of_a_recipe_is_plain() -> None:
    plain = yaml.safe_load(parse_recipe(SHORT).to_yaml())
    assert plain == {
        "name": "run",
        "schema": {
            "columns": {"user": {"kind": "categorical"}},
            "tasks": {"click": {"kind": "binary"}},
        },
        "model": {"name": "dcn_v2"},
    }
