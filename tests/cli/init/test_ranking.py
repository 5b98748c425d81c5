from pathlib import Path

import polars as pl
import pytest

from crosstower.cli.init.ranking import editor_schema, starter_recipe
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.models.registry import config_of, model_names
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe


def starter(frame: pl.DataFrame, *tasks: str) -> str:
    return starter_recipe(open_source(frame), path="rows.parquet", name="mine", tasks=tasks)


def guessed(frame: pl.DataFrame, *tasks: str) -> Recipe:
    return parse_recipe(starter(frame, *tasks))


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([0, 1], {"kind": "binary"}),
        ([True, False], {"kind": "binary"}),
        (["<=50K", "<=50K", ">50K"], {"kind": "binary", "positive": ">50K"}),
        ([1, 2, 3, 4, 5], {"kind": "rating"}),
        ([float(n) / 3 for n in range(40)], {"kind": "regression"}),
    ],
)
def test_tasks_follow_the_labels(labels: list[object], task: dict[str, object]) -> None:
    frame = pl.DataFrame({"label": labels, "x": [float(n) for n in range(len(labels))]})
    assert guessed(frame).schema_.plain()["tasks"]["label"] == task


def test_tasks_can_be_named(wide: pl.DataFrame) -> None:
    recipe = guessed(wide, "click", "age")
    assert list(recipe.schema_.tasks) == ["click", "age"]
    assert "age" not in recipe.schema_.columns


def test_csv_is_guessed_like_parquet(wide: pl.DataFrame, tmp_path: Path) -> None:
    flat = wide.select("user_id", "zip", "city", "age", "ratio", "click")
    flat.write_csv(tmp_path / "rows.csv")
    text = starter_recipe(open_source(tmp_path / "rows.csv"), path="rows.csv", name="mine")
    assert parse_recipe(text).schema_ == guessed(flat).schema_


def test_names_that_yaml_would_misread_are_quoted() -> None:
    frame = pl.DataFrame({"on": ["a", "b"], "x: y": [0.5, 1.5], "größe": [1.5, 2], "click": [0, 1]})
    assert list(guessed(frame).schema_.columns) == ["on", "x: y", "größe"]
    assert "\n    größe: numeric" in starter(frame)


def test_without_a_label_the_option_is_named(wide: pl.DataFrame) -> None:
    with pytest.raises(DataError, match=r"no column looks like a label; name it with --task"):
        starter(wide.drop("click"))


def test_without_features_nothing_is_written() -> None:
    with pytest.raises(DataError, match="no feature column besides click"):
        starter(pl.DataFrame({"click": [0, 1]}))


def test_free_text_cannot_be_a_label(wide: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="column 'title': a label with 60 different texts"):
        starter(wide, "title")


def test_editors_learn_every_architecture_and_its_options() -> None:
    model = editor_schema()["properties"]["model"]["anyOf"]
    assert model[0]["enum"] == model_names()
    for name, options in zip(model_names(), model[1:], strict=True):
        assert set(options["properties"]) == {"name", *config_of(name).model_fields}
