import re
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.cli.init.checks import CHECK
from crosstower.cli.init.ranking import editor_schema, starter_recipe
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.models.registry import config_of, model_names
from crosstower.recipe.recipe import Recipe, parse_recipe
from crosstower.recipe.split import ColumnSplit, RandomSplit, TimeSplit
from crosstower.recipe.times import TimeFormat

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
    frame = pl.DataFrame({"on": ["a", "b"], "x: y": [0.5, 1.5], "größe": [1.5, 2], "click": [0, 1]})
    assert list(guessed(frame).schema_.columns) == ["on", "x: y", "größe"]
    assert "\n    größe: numeric" in starter(frame)


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


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    """Return a log of 400 rows of pure noise, with the columns that users' logs have."""
    random = np.random.default_rng(0)
    watched = random.random(400) < 0.4
    return pl.DataFrame(
        {
            "__index_level_0__": np.argsort(watched, kind="stable"),
            "rowNumber": range(400),
            "userId": random.integers(1, 60, 400),
            "movieId": [float(n) if n else None for n in random.integers(0, 90, 400)],
            "user.id": random.integers(1, 60, 400),
            "requestId": [f"r{n}" for n in range(400)],
            "genres": [["a"] * int(n) for n in random.integers(1, 9, 400)],
            "tags": ["|".join("abc"[: int(n)]) for n in random.integers(1, 4, 400)],
            "watch_time": np.where(
                watched, random.uniform(30, 90, 400), random.uniform(0, 31, 400)
            ),
            "seconds_on_page": np.where(watched, 60.0, 5.0) + random.random(400),
            "like_label": random.integers(0, 2, 400),
            "comment_label": random.integers(0, 2, 400),
            "buy": random.integers(0, 2, 400),
            "part": random.choice(["train", "valid", "test"], 400),
            "step": random.permutation(400),
            "price": random.normal(size=400),
            "did_watch": watched.astype(int),
        }
    )


def test_ids_are_seen_whatever_their_spelling(log: pl.DataFrame) -> None:
    columns = guessed(log, "did_watch").schema_.columns
    assert {c: columns[c].kind for c in ("userId", "movieId", "user.id")} == dict.fromkeys(
        ("userId", "movieId", "user.id"), "categorical"
    )


def test_what_is_no_feature_is_left_out_with_the_reason(log: pl.DataFrame) -> None:
    text = starter(log, "did_watch")
    reasons = {
        "__index_level_0__": "the index of a data frame, by its name",
        "rowNumber": "the index of a data frame, by its name",
        "requestId": "another value in each row",
        "watch_time": "what happened afterwards, by its name",
        "seconds_on_page": "predicts did_watch by itself (AUC 1.000)",
        "like_label": "another label, by its name",
        "buy": "another label, by its name",
        "part": "names the split of a row",
        "step": "orders the rows",
    }
    for name, reason in reasons.items():
        assert f"    # {name}: left out: {reason}" in text
    assert set(parse_recipe(text).schema_.columns) == {
        "userId", "movieId", "user.id", "genres", "tags", "price",
    }  # fmt: skip
    assert "    # comment_label: binary  # base rate" in text


def test_a_column_that_tells_the_label_is_a_warning(log: pl.DataFrame) -> None:
    checks = [line for line in starter(log, "did_watch").splitlines() if line.startswith(CHECK)]
    assert len(checks) == 1
    assert "'seconds_on_page' predicts did_watch by itself (AUC 1.000)" in checks[0]
    alone = starter(log.select("seconds_on_page", "did_watch"), "did_watch")
    assert "'seconds_on_page' predicts" in alone
    assert list(parse_recipe(alone).schema_.columns) == ["seconds_on_page"]


def test_rows_on_both_sides_of_the_split_are_a_warning(log: pl.DataFrame) -> None:
    twice = pl.concat([log.select("userId", "price", "buy")] * 2)
    assert re.search(rf"{CHECK}\d+ of \d+ valid and test rows .* equal a training", starter(twice))


def test_bags_have_a_length(log: pl.DataFrame) -> None:
    columns = guessed(log, "did_watch").schema_.columns
    assert (columns["genres"].max_len, columns["tags"].max_len) == (8, 3)  # type: ignore[union-attr]
    long = log.with_columns(genres=pl.Series([["a"] * 5000] + [["a"] * 30] * 399))
    assert guessed(long, "did_watch").schema_.columns["genres"].max_len == 30  # type: ignore[union-attr]


def test_labels_are_seen_by_their_names(log: pl.DataFrame) -> None:
    kept = log.select("userId", "price", "like_label", "comment_label")
    recipe = guessed(kept)
    assert list(recipe.schema_.tasks) == ["like_label"]
    assert set(recipe.schema_.columns) == {"userId", "price"}


def test_the_split_follows_the_data(log: pl.DataFrame) -> None:
    assert guessed(log, "did_watch").data.split == ColumnSplit(column="part")
    ordered = log.drop("part")
    assert guessed(ordered, "did_watch").data.split == TimeSplit(column="step")
    assert guessed(ordered.drop("step"), "did_watch").data.split == RandomSplit()
    rising = ordered.with_columns(step=pl.int_range(1000, 1800, 2)).rename({"step": "serial"})
    assert guessed(rising, "did_watch").data.split == TimeSplit(column="serial")


def test_a_format_of_times_is_written_into_the_recipe(log: pl.DataFrame) -> None:
    days = [f"{1 + n % 12}/{1 + n % 28}/2024" for n in range(400)]
    recipe = guessed(log.drop("part").with_columns(when=pl.Series(days)), "did_watch")
    assert recipe.data.split == TimeSplit(column="when")
    assert recipe.data.times == {"when": TimeFormat(format="%m/%d/%Y")}


def test_rows_counted_within_each_user_are_an_order() -> None:
    frame = pl.DataFrame({"userId": [u for u in range(40) for _ in range(1 + u % 7)]})
    frame = frame.with_columns(
        visit=pl.int_range(pl.len()).over("userId"),
        position=pl.int_range(pl.len()).over("userId"),
        click=pl.int_range(pl.len()) % 2,
    )
    recipe = guessed(frame)
    assert set(recipe.schema_.columns) == {"userId", "position"}
    assert recipe.data.split == TimeSplit(column="visit")
