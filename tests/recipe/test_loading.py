from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.errors import RecipeError
from crosstower.recipe.loading import as_recipe, load_recipe, parse_recipe

SHORT = "schema: {columns: {user: categorical}, tasks: {click: binary}}"


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
