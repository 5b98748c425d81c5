from pathlib import Path

import polars as pl
import pytest

from crosstower.data.held_out import held_out_columns
from crosstower.data.reading import source_of
from crosstower.data.sources import formats as file_formats
from crosstower.data.sources import source as sources
from crosstower.errors import DataError
from crosstower.ranking.data import prepare
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe

SPLITS = {
    "random": "{kind: random}",
    "group": "{kind: group, column: user_id}",
    "time": "{kind: time, column: time}",
    "leave_last_out": "{kind: leave_last_out, group: user_id, time: time}",
    "column": "{kind: column, column: part}",
}


@pytest.fixture
def numbered(frame: pl.DataFrame) -> pl.DataFrame:
    rows = pl.int_range(pl.len())
    parts = pl.Series(["train", "valid", "test"])
    return frame.with_columns(
        number=rows, time=(rows * 7) % 1201, part=parts.gather([i % 3 for i in range(1200)])
    )


def split_by(recipe_text: str, split: str, **data: str) -> Recipe:
    changes = {"split": SPLITS[split], "path": "null", **data}
    overrides = [f"data.{key}={value}" for key, value in changes.items()]
    return parse_recipe(recipe_text, [*overrides, "evaluation.slices=[number]"])


@pytest.mark.parametrize("split", SPLITS)
def test_rows_are_those_of_the_targets_in_their_order(
    recipe_text: str, numbered: pl.DataFrame, tmp_path: Path, split: str
) -> None:
    recipe = split_by(recipe_text, split)
    source = source_of(recipe.data, numbered)
    targets = prepare(recipe, source, spill=tmp_path / "spill").targets
    some = held_out_columns(recipe, source, ["age", "number", "click"])
    whole = held_out_columns(recipe, source, numbered.columns)
    for part in ("valid", "test"):
        places = targets[part]["number"]
        assert len(places) > 0
        assert some[part].equals(numbered[places].select("age", "number", "click"))
        assert whole[part].equals(numbered[places])


def test_bad_rows_are_skipped_as_in_training(
    recipe_text: str, numbered: pl.DataFrame, tmp_path: Path
) -> None:
    number, when = pl.col("number"), pl.when
    bad = numbered.with_columns(
        click=when(number % 10 == 3).then(7).otherwise("click"),
        age=when(number % 10 == 4).then(float("inf")).otherwise("age"),
    )
    recipe = split_by(recipe_text, "random", on_bad_rows="skip")
    source = source_of(recipe.data, bad)
    targets = prepare(recipe, source, spill=tmp_path / "spill").targets
    found = held_out_columns(recipe, source, ["number"])
    for part in ("valid", "test"):
        assert found[part]["number"].equals(targets[part]["number"])
        assert not found[part]["number"].is_in([3, 4, 13, 14]).any()
    strict = split_by(recipe_text, "random")
    with pytest.raises(DataError, match="expected a finite number, got inf in row 4 of data frame"):
        held_out_columns(strict, source, ["number"])


def test_chunks_change_nothing(
    recipe_text: str, numbered: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = split_by(recipe_text, "time")
    source, columns = source_of(recipe.data, numbered), numbered.columns
    whole = held_out_columns(recipe, source, columns)["valid"]
    assert sources.CHUNK_ROWS == file_formats.CHUNK_ROWS > numbered.height
    monkeypatch.setattr(sources, "CHUNK_ROWS", 100)
    assert held_out_columns(recipe, source, columns)["valid"].equals(whole)


def test_raw_columns_are_as_they_stand_joined_ones_too(
    recipe_text: str, numbered: pl.DataFrame, tmp_path: Path
) -> None:
    users = pl.DataFrame({"user_id": range(30), "city": [f"city {i}" for i in range(30)]})
    users.write_parquet(tmp_path / "users.parquet")
    recipe = split_by(
        recipe_text, "random", joins=f"[{{path: {tmp_path / 'users.parquet'}, on: user_id}}]"
    )
    source = source_of(recipe.data, numbered)
    test = held_out_columns(recipe, source, ["city", "user_id", "tags", "city"])["test"]
    assert test.columns == ["city", "user_id", "tags"]
    assert test.schema["tags"] == pl.List(pl.String)
    assert test["city"].to_list() == [f"city {i}" for i in test["user_id"]]


def test_a_missing_column_is_named(recipe_text: str, numbered: pl.DataFrame) -> None:
    recipe = split_by(recipe_text, "random")
    source = source_of(recipe.data, numbered)
    with pytest.raises(DataError, match="no column 'nmber'; did you mean 'number'"):
        held_out_columns(recipe, source, ["nmber"])
