from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from crosstower.data.sources import open_source
from crosstower.errors import DataError
from crosstower.models.registry import config_of, model_names
from crosstower.recipe import Recipe, parse_recipe
from crosstower.starter import editor_schema, starter_recipe

COUNT = 60


def starter(frame: pl.DataFrame, *tasks: str) -> str:
    return starter_recipe(open_source(frame), path="rows.parquet", name="mine", tasks=tasks)


def guessed(frame: pl.DataFrame, *tasks: str) -> Recipe:
    return parse_recipe(starter(frame, *tasks))


@pytest.fixture
def wide() -> pl.DataFrame:
    i = pl.int_range(COUNT, eager=True)
    return pl.DataFrame(
        {
            "user_id": i + 10**12,
            "zip": [f"0{n:04d}" for n in range(COUNT)],
            "city": ["Rome", "Oslo"] * (COUNT // 2),
            "age": i,
            "ratio": i / 7.0,
            "gain": [0.0] * (COUNT - 1) + [1e6],
            "hour": i % 4,
            "genres": ["war|drama", "comedy"] * (COUNT // 2),
            "amenities": [["wifi", "pool"], ["desk"]] * (COUNT // 2),
            "image": [[0.1, 0.2, 0.3]] * COUNT,
            "ragged": [[0.1], [0.1, 0.2]] * (COUNT // 2),
            "title": [f"a long sentence about item {n}" for n in range(COUNT)],
            "when": [datetime(2026, 1, 1 + n % 28) for n in range(COUNT)],
            "empty": pl.Series([None] * COUNT, dtype=pl.String),
            "constant": [1] * COUNT,
            "click": i % 2,
        }
    )


def test_kinds_are_guessed_from_the_values(wide: pl.DataFrame) -> None:
    columns = guessed(wide).schema_.columns
    kinds = {name: column.kind for name, column in columns.items()}
    assert kinds == {
        "user_id": "categorical",
        "zip": "categorical",
        "city": "categorical",
        "age": "numeric",
        "ratio": "numeric",
        "gain": "numeric",
        "hour": "categorical",
        "genres": "bag",
        "amenities": "bag",
        "image": "vector",
        "title": "text",
    }
    assert columns["gain"].transform == "log1p"  # type: ignore[union-attr]
    assert columns["genres"].separator == "|"  # type: ignore[union-attr]
    assert columns["image"].width == 3  # type: ignore[union-attr]


def test_what_is_left_out_is_said_with_the_reason(wide: pl.DataFrame) -> None:
    text = starter(wide)
    assert "# empty: left out: empty" in text
    assert "# constant: left out: one value only" in text
    assert "# when: left out: a time" in text
    assert "# ragged: left out: lists of floats of different lengths" in text


def test_time_splits_and_the_user_groups(wide: pl.DataFrame) -> None:
    recipe = guessed(wide)
    assert recipe.data.split.kind == "time"
    assert recipe.evaluation.group == "user_id"
    assert guessed(wide.drop("when", "user_id")).data.split.kind == "random"


def test_missing_values_are_counted_in_the_comments(wide: pl.DataFrame) -> None:
    holes = wide.with_columns(city=pl.when(pl.int_range(COUNT) < 15).then(None).otherwise("city"))
    assert "city: categorical  # 3 distinct, 25.0% missing" in starter(holes)


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
    frame = pl.DataFrame({"on": ["a", "b"], "x: y": [0.5, 1.5], "click": [0, 1]})
    assert list(guessed(frame).schema_.columns) == ["on", "x: y"]


def test_without_a_label_the_option_is_named(wide: pl.DataFrame) -> None:
    with pytest.raises(DataError, match=r"no column looks like a label; name it with --task"):
        starter(wide.drop("click"))


def test_without_features_nothing_is_written() -> None:
    with pytest.raises(DataError, match="no column to learn from besides click"):
        starter(pl.DataFrame({"click": [0, 1]}))


def test_free_text_cannot_be_a_label(wide: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="column 'title': has 60 different texts"):
        starter(wide, "title")


def test_editors_learn_every_architecture_and_its_options() -> None:
    model = editor_schema()["properties"]["model"]["anyOf"]
    assert model[0]["enum"] == model_names()
    for name, options in zip(model_names(), model[1:], strict=True):
        assert set(options["properties"]) == {"name", *config_of(name).model_fields}
