from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crosstower.errors import RecipeError
from crosstower.recipe.recipe import Recipe, as_recipe, load_recipe, parse_recipe
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


@given(st.integers(1, 99), st.floats(1e-6, 1.0), st.booleans())
def test_overrides_reach_any_key(epochs: int, rate: float, low_rank: bool) -> None:
    cross = "low_rank" if low_rank else "full"
    overrides = [f"training.epochs={epochs}", f"training.learning_rate={rate!r}"]
    recipe = parse_recipe(SHORT, [*overrides, f"model.cross={cross}"])
    assert recipe.training.epochs == epochs
    assert recipe.training.learning_rate == rate
    assert recipe.model["cross"] == cross


def test_an_override_of_a_model_given_by_name_keeps_the_name() -> None:
    recipe = parse_recipe(f"{SHORT}\nmodel: wide_deep", ["model.hidden=[8, 4]"])
    assert recipe.model == {"name": "wide_deep", "hidden": [8, 4]}


def test_an_override_adds_a_column() -> None:
    recipe = parse_recipe(SHORT, ["schema.columns.age=numeric", "schema.columns.age2.kind=bag"])
    assert list(recipe.schema_.columns) == ["user", "age", "age2"]


def test_paths_start_at_the_folder_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "data: {path: rows/*.parquet, joins: [{path: users.csv, on: user}]}\n" + SHORT
    )
    recipe = load_recipe(tmp_path / "mine.yaml")
    assert recipe.name == "mine"
    assert recipe.data.path == f"{tmp_path}/rows/*.parquet"
    assert recipe.data.joins[0].path == f"{tmp_path}/users.csv"


def test_absolute_paths_and_worlds_stay(tmp_path: Path) -> None:
    for path in ("/data/rows.parquet", "world:app_installs"):
        recipe = parse_recipe(f"data: {{path: {path}}}\n{SHORT}", folder=tmp_path)
        assert recipe.data.path == path


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
        (f"{SHORT}\nmodel: [dcn_v2]", "model: expected a valid dictionary"),
        (f"{SHORT}\nname: ../up", "name: .* got '../up'"),
        (f"{SHORT}\ndata: {{split: {{fractions: [0.5, 0.5, 0.5]}}}}", r"data\.split: "),
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


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.epochs", "expected KEY=VALUE, as in training.epochs=3"),
        ("=3", "expected KEY=VALUE"),
        ("training.epoch=3", "did you mean 'epochs'"),
        ("name.first=x", "'name' is a value without keys"),
    ],
)
def test_a_wrong_override_is_named(override: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse_recipe(f"name: mine\n{SHORT}", [override])


def test_a_missing_recipe_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no such recipe; write one with: crosstower init DATA"):
        load_recipe(tmp_path / "recipe.yaml")


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


@pytest.mark.parametrize("given", [{"name": "a"}, 5, None, ["name: a"]])
def test_a_recipe_that_is_no_text_is_refused(given: Any) -> None:
    words = r"text: expected YAML text, got .*Recipe\.model_validate\(data\)"
    with pytest.raises(RecipeError, match=words):
        parse_recipe(given)


def test_a_folder_that_is_none_is_refused() -> None:
    with pytest.raises(RecipeError, match="folder: expected a folder, got 5"):
        parse_recipe(SHORT, folder=cast("Path", 5))


def test_overrides_change_a_copy_of_a_recipe_and_of_a_schema() -> None:
    recipe = parse_recipe(SHORT)
    changed = as_recipe(recipe, {"training.epochs": 3})
    assert (changed.training.epochs, recipe.training.epochs) == (3, 30)
    assert changed == as_recipe(recipe, ["training.epochs=3"])
    assert as_recipe(recipe.schema_, {"model": "mlp"}).model == {"name": "mlp"}
    assert as_recipe(recipe) is recipe


def test_an_override_of_an_unknown_key_names_the_nearest() -> None:
    recipe = parse_recipe(SHORT)
    for wrong, words in (
        ({"training.epoch": 3}, "training.epoch: unknown key; did you mean 'epochs'?"),
        ({"trainin.epochs": 3}, "trainin: unknown key; did you mean 'training'?"),
        ({"training.epochs": "many"}, "training.epochs: expected a valid integer, got 'many'"),
    ):
        with pytest.raises(RecipeError) as error:
            as_recipe(recipe, wrong)
        assert str(error.value).startswith(words)
