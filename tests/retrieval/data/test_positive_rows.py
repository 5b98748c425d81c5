"""Items without a table have the columns of their last training row, never of a later one."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.data.reading import source_of, training_source
from crosstower.data.sources.source import FrameSource
from crosstower.data.split import fit_splitter
from crosstower.errors import DataError
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import GroupSplit, RandomSplit
from crosstower.retrieval.data.positive_rows import PositiveRows, read_positives
from crosstower.retrieval.data.tower_columns import tower_columns_of

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
    return read_positives(recipe, source, tower_columns_of(recipe), lambda _stage, _rows: None)


def test_columns_of_items_come_from_training_rows() -> None:
    items = positives().items
    assert items.ids.to_list() == [5, 7, 8, 9]
    assert items.attributes["shown"].to_list() == [4.0, 3.0, 2.0, None]
    assert items.cleaned["film"].to_list() == [5, 7, 8, 9]
    assert items.cleaned["shown"].to_list() == [4.0, 3.0, 2.0, None]


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


def test_items_without_a_training_row_are_counted() -> None:
    assert positives().items.missing == 1


# A film of each row's number, all of one user; `shown` is the row's number too.
LONG = pl.DataFrame(
    {
        "user": [1] * 10,
        "film": [1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
        "time": range(10),
        "group": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"],
        "shown": [float(i) for i in range(10)],
        "watched": [1, 0, 1, 0, 1, 0, 1, 0, 1, 0],
    }
)


def shown(split: str, frame: pl.DataFrame, **more: Any) -> dict[int, float | None]:
    """Return the column of each item under a split."""
    recipe = parse_recipe(RECIPE.replace("{kind: column, column: part}", split))
    source = training_source(recipe.data, more.get("parts", frame))
    items = read_positives(
        recipe, source, tower_columns_of(recipe), lambda _stage, _rows: None
    ).items
    assert items.missing == items.attributes["shown"].null_count()
    return dict(zip(items.ids.to_list(), items.attributes["shown"].to_list(), strict=True))


def test_a_split_by_time_uses_the_other_rows_before_its_validation() -> None:
    found = shown("{kind: time, column: time, valid_from: 4, test_from: 7}", LONG)
    assert found == {1: 1.0, 2: 3.0, 3: None, 4: None, 5: None}


def test_shares_of_a_split_by_time_are_those_of_the_positives() -> None:
    # The positives are at 0, 2, 4, 6 and 8: three train, and validation starts at 6.
    found = shown("{kind: time, column: time, fractions: [0.6, 0.2, 0.2]}", LONG)
    assert found == {1: 1.0, 2: 3.0, 3: 5.0, 4: None, 5: None}


def test_a_split_by_group_uses_the_other_rows_of_training_groups() -> None:
    split = GroupSplit(column="group", fractions=(0.4, 0.3, 0.3), seed=4)
    splitter = fit_splitter(split, FrameSource(LONG))
    trains = splitter.assign(LONG.select(pl.col("group").alias(raw_name("group")))) == 0
    assert trains.any()
    assert not trains.all()
    last = LONG.filter(pl.Series(trains)).group_by("film", maintain_order=True).last()
    expected = dict(zip(last["film"].to_list(), last["shown"].to_list(), strict=True))
    words = "{kind: group, column: group, fractions: [0.4, 0.3, 0.3], seed: 4}"
    assert shown(words, LONG) == dict.fromkeys(range(1, 6)) | expected


def test_a_split_by_column_uses_the_other_rows_of_its_training_part() -> None:
    parts = ["test", "train", "train", "valid", "train", "train", "valid", "train", "test", "test"]
    frame = LONG.with_columns(part=pl.Series(parts))
    found = shown("{kind: column, column: part}", frame)
    assert found == {1: 1.0, 2: 2.0, 3: 5.0, 4: 7.0, 5: None}


def test_rows_of_given_files_are_those_of_the_training_file() -> None:
    parts = {"train": LONG[:4], "valid": LONG[4:7], "test": LONG[7:]}
    found = shown("{kind: given}", LONG, parts=parts)
    assert found == {1: 1.0, 2: 3.0, 3: None, 4: None, 5: None}


def test_a_random_split_holds_out_positives_only() -> None:
    found = shown("{kind: random, seed: 1}", LONG)
    assert found == {1: 1.0, 2: 3.0, 3: 5.0, 4: 7.0, 5: 9.0}
    watched = LONG.with_columns(watched=pl.lit(1))
    split = fit_splitter(RandomSplit(seed=1), FrameSource(watched))
    trains = split.assign(pl.DataFrame({ROW: range(10)})) == 0
    last = watched.filter(pl.Series(trains)).group_by("film").last()
    expected = dict(zip(last["film"].to_list(), last["shown"].to_list(), strict=True))
    assert shown("{kind: random, seed: 1}", watched) == dict.fromkeys(range(1, 6)) | expected


def test_leave_last_out_uses_the_other_rows_before_validation() -> None:
    words = "{kind: leave_last_out, group: user, time: time}"
    # The positives at 6 and 8 are held out; the rows at 7 and 9 come after the first of them.
    assert shown(words, LONG) == {1: 1.0, 2: 3.0, 3: 5.0, 4: None, 5: None}


def test_leave_last_out_frees_the_rows_of_groups_without_positives() -> None:
    words = "{kind: leave_last_out, group: user, time: time}"
    more = LONG[[8, 9, 8]].with_columns(
        user=pl.Series([2, 3, 3]),
        time=pl.Series([50, 51, 52]),
        film=pl.Series([8, 9, 9]),
        shown=pl.Series([80.0, 90.0, 91.0]),
        watched=pl.Series([0, 1, 0]),
    )
    found = shown(words, pl.concat([LONG, more]))
    assert found[8] == 80.0  # user 2 has no positive
    assert found[9] is None  # user 3 has one, the test row, and a row after it


def test_other_rows_without_a_time_are_left_alone() -> None:
    frame = LONG.with_columns(time=pl.when(pl.col("shown") == 3).then(None).otherwise("time"))
    for words in (
        "{kind: leave_last_out, group: user, time: time}",
        "{kind: time, column: time, valid_from: 4, test_from: 7}",
    ):
        assert shown(words, frame)[2] == 2.0


def test_an_impression_without_a_known_label_is_no_positive() -> None:
    frame = LONG.with_columns(watched=pl.when(pl.col("shown") == 3).then(None).otherwise("watched"))
    assert shown("{kind: random, seed: 1}", frame)[2] == 3.0
    assert positives(frame.with_columns(part=pl.lit("train"))).items.ids.len() == 5


def test_an_item_with_a_bad_cell_is_skipped_with_its_rows(tmp_path: Path) -> None:
    table = tmp_path / "items.parquet"
    shown = pl.Series([4.0, float("inf"), 2.0, 1.0])
    pl.DataFrame({"film": [5, 7, 8, 9], "shown": shown}).write_parquet(table)
    text = RECIPE.replace("item: film,", f"item: film, items: {table},")
    frame = ROWS.drop("shown")
    with pytest.raises(DataError, match=r"column 'shown': .*inf"):
        positives(frame, parse_recipe(text))
    skipping = parse_recipe(text.replace("data: {", "data: {on_bad_rows: skip, "))
    found = positives(frame, skipping)
    assert found.items.ids.to_list() == [5, 8, 9]
    assert found.skipped == {"shown": 1, "film": 3}
    assert found.frame[raw_name("film")].to_list() == [8, 9]


@pytest.mark.parametrize(
    ("times", "until"),
    [
        ([1.7e9 + i for i in range(6)], datetime(2023, 11, 14, 22, 13, 24, tzinfo=UTC)),
        (
            [f"2026-02-0{i}T00:00:00.000001Z" for i in range(1, 7)],
            datetime(2026, 2, 5, 0, 0, 0, 1, tzinfo=UTC),
        ),
        (list(range(6)), None),  # numbers that only order the rows
    ],
)
def test_the_time_of_the_last_positive_is_known(times: list[Any], until: datetime | None) -> None:
    rows = ROWS.with_columns(time=pl.Series(times))
    assert positives(rows, parse_recipe(RECIPE, ["retrieval.time=time"])).until == until
    assert positives(rows).until is None  # the recipe names no time
