"""Items without a table have the columns of their last training row, never of a later one."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.data.positive_rows import PositiveRows, read_positives
from crosstower.data.prepare import source_of
from crosstower.data.sides import sides_of
from crosstower.errors import DataError
from crosstower.recipe import Recipe, parse_recipe

RECIPE = """
data: {split: {kind: column, column: part}}
schema: {columns: {user: categorical, film: categorical, shown: numeric}}
model: {name: two_tower, item: [film, shown]}
retrieval: {user: user, item: film, where: "watched == 1"}
"""
ROWS = pl.DataFrame(
    {
        "user": [1, 1, 2, 2, 3, 3],
        "film": [7, 8, 7, 7, 9, 5],
        "part": ["train", "train", "train", "test", "valid", "train"],
        "shown": [1.0, 2.0, 3.0, 100.0, 100.0, 4.0],
        "watched": [1, 1, 1, 1, 1, 0],
    }
)


def positives(frame: pl.DataFrame = ROWS, recipe: Recipe | None = None) -> PositiveRows:
    recipe = parse_recipe(RECIPE) if recipe is None else recipe
    source = source_of(recipe.data, frame)
    return read_positives(recipe, source, sides_of(recipe), lambda _stage, _rows: None)


def test_columns_of_items_come_from_training_rows() -> None:
    items = positives().items
    assert items.ids.to_list() == [5, 7, 8, 9]
    assert items.attributes["shown"].to_list() == [None, 3.0, 2.0, None]
    assert items.cleaned["film"].to_list() == [5, 7, 8, 9]
    assert items.cleaned["shown"].to_list() == [None, 3.0, 2.0, None]


def test_later_rows_change_nothing() -> None:
    later = ROWS.with_columns(
        shown=pl.when(pl.col("part") == "train").then("shown").otherwise(pl.lit(-1.0))
    )
    assert positives(later).items.attributes.equals(positives().items.attributes)


def test_ids_written_in_two_ways_are_one_item() -> None:
    text = ROWS.with_columns(film=pl.Series(["7", "8", "7.0", "7", "9", "5"]))
    assert [str(i) for i in positives(text).items.ids.to_list()] == ["5", "7", "8", "9"]


@pytest.mark.parametrize(("users", "found"), [([1, 2], 4), ([8, 9], 0)])
def test_keys_of_a_joined_table_are_counted(users: list[int], found: int, tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    pl.DataFrame({"user": users, "age": [30, 40]}).write_parquet(path)
    joins = f"data: {{joins: [{{path: {path}, on: user}}], "
    recipe = parse_recipe(RECIPE.replace("data: {", joins))
    if not found:
        with pytest.raises(DataError, match="none of 6 rows found its key"):
            positives(recipe=recipe)
        return
    (match,) = positives(recipe=recipe).joins
    assert (match.rows, match.found) == (6, found)
