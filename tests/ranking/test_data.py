from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.data.batches import Batches
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.reading import source_of
from crosstower.data.split import SPLITS, select, splitter_of
from crosstower.errors import DataError, RecipeError
from crosstower.ranking.data import Prepared, prepare
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Data, Recipe


def prepared(recipe: Recipe, spill: Path, frame: pl.DataFrame | None = None) -> Prepared:
    return prepare(recipe, source_of(recipe.data, frame), spill=spill)


def all_rows(rows: EncodedRows) -> Batch:
    return Batch.concatenate(list(Batches(rows, 100).epoch()))


def changed(recipe_text: str, **data: object) -> Recipe:
    return parse_recipe(recipe_text, [f"data.{key}={value}" for key, value in data.items()])


def test_every_row_is_in_one_split_and_counted(recipe: Recipe, tmp_path: Path) -> None:
    result = prepared(recipe, tmp_path / "spill")
    sizes = {split: len(rows) for split, rows in result.rows.items()}
    assert sum(sizes.values()) == 1200
    assert result.facts.rows == sizes
    assert result.targets["test"].height == sizes["test"]


def test_targets_are_in_the_order_of_the_encoded_rows(recipe: Recipe, tmp_path: Path) -> None:
    result = prepared(recipe, tmp_path / "spill")
    labels = all_rows(result.rows["test"]).labels[:, 0]
    assert labels.tolist() == result.targets["test"]["click"].to_list()
    assert {"user_id", "genre", "click", "watch_time"} == set(result.targets["test"].columns)


def test_base_rates_are_means_of_labels(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path
) -> None:
    facts = prepared(recipe, tmp_path / "spill").facts
    mean = sum(facts.base_rates["click"][s] * n for s, n in facts.rows.items()) / 1200
    assert mean == pytest.approx(frame["click"].mean())


def test_spilled_rows_equal_rows_in_memory(
    recipe: Recipe, recipe_text: str, frame: pl.DataFrame, tmp_path: Path
) -> None:
    many = pl.concat([frame] * 60)
    small = changed(recipe_text, memory_mb=1)
    spilled, held = (prepared(r, tmp_path / "spill", many) for r in (small, recipe))
    assert (tmp_path / "spill" / "train").is_dir()
    one, other = all_rows(spilled.rows["train"]), all_rows(held.rows["train"])
    assert torch.equal(one.codes, other.codes)
    assert torch.equal(one.numbers, other.numbers)


def test_rows_encoded_together_equal_rows_encoded_by_split(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path
) -> None:
    many = pl.concat([frame] * 10)  # more rows than are encoded column after column
    result = prepared(recipe, tmp_path, many)
    (chunk,) = source_of(recipe.data, many).chunks(many.columns)
    cleaned = Cleaner(recipe.schema_).clean(chunk)
    assignment = splitter_of(recipe, source_of(recipe.data, many)).assign(cleaned)
    for place, split in enumerate(SPLITS):
        rows, alone = all_rows(result.rows[split]), select(cleaned, assignment, place)
        expected = result.encoder.encode(alone)
        assert torch.equal(rows.codes, expected.codes)
        assert torch.equal(rows.numbers, expected.numbers)
        assert torch.equal(rows.labels.nan_to_num(-1), expected.labels.nan_to_num(-1))


def test_the_fingerprint_follows_the_rows(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path
) -> None:
    again = frame.with_columns(age=pl.col("age") + (pl.int_range(pl.len()) == 5))
    prints = [prepared(recipe, tmp_path, f).facts.fingerprint for f in (frame, frame, again)]
    assert prints[0] == prints[1] != prints[2]


def test_the_fingerprint_does_not_depend_on_how_files_are_cut(
    recipe_text: str, frame: pl.DataFrame, tmp_path: Path
) -> None:
    prints = set[str]()
    for place, cuts in enumerate(([0, 1200], [0, 7, 500, 1200], [0, 600, 1200])):
        folder = tmp_path / str(place)
        folder.mkdir()
        for start, end in pairwise(cuts):
            frame[start:end].write_parquet(folder / f"{start:05d}.parquet")
        recipe = changed(recipe_text, path=str(folder))
        prints.add(prepared(recipe, tmp_path / "spill" / str(place)).facts.fingerprint)
    assert len(prints) == 1
    for other in (
        frame.reverse(),
        frame.with_columns(click=1 - pl.col("click")),
        frame.with_columns(watch_time=pl.col("watch_time") + 1.0),
    ):
        prints.add(prepared(changed(recipe_text), tmp_path / "o", other).facts.fingerprint)
    assert len(prints) == 4


def test_values_unseen_in_training_are_told(recipe_text: str, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 2, 2],
            "part": ["train", "train", "valid", "valid", "test", "test"],
            "click": [0, 1] * 3,
        }
    )
    recipe = parse_recipe(
        "data: {split: {kind: column, column: part}}\n"
        "schema: {columns: {user_id: categorical}, tasks: {click: binary}}"
    )
    notes = prepared(recipe, tmp_path, frame).facts.notes
    assert notes[0] == "user_id: 100.0% of the test values never seen in training"
    assert notes[1].startswith("50.0% of the valid and test rows have the inputs of a training row")
    assert len(notes) == 2


def test_skipped_rows_and_missing_labels_are_told(
    recipe_text: str, frame: pl.DataFrame, tmp_path: Path
) -> None:
    broken = frame.with_columns(
        age=pl.when(pl.int_range(pl.len()) == 3).then(float("inf")).otherwise("age"),
        watch_time=pl.when(pl.int_range(pl.len()) < 10).then(None).otherwise("watch_time"),
    )
    facts = prepared(changed(recipe_text, on_bad_rows="skip"), tmp_path, broken).facts
    assert "1 rows left out for 'age'" in facts.notes
    assert sum(facts.rows.values()) == 1199
    assert any(n.startswith("watch_time: ") and "have no label" in n for n in facts.notes)


@pytest.mark.parametrize("constant", [0, 1])
def test_a_split_with_one_class_is_an_error(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path, constant: int
) -> None:
    one_class = frame.with_columns(click=pl.lit(constant))
    match = rf"task 'click': all [\d,]+ labels of the train split are {constant}"
    with pytest.raises(DataError, match=match):
        prepared(recipe, tmp_path, one_class)


def test_an_empty_split_is_an_error(recipe: Recipe, frame: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the (valid|test) split holds no rows \(train 1"):
        prepared(recipe, tmp_path, frame.head(2))


def test_a_task_without_labels_is_an_error(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path
) -> None:
    blank = frame.with_columns(watch_time=pl.lit(None, pl.Float64))
    with pytest.raises(DataError, match="task 'watch_time': no row of the train split has a label"):
        prepared(recipe, tmp_path, blank)


def test_a_missing_slice_column_is_named(
    recipe_text: str, frame: pl.DataFrame, tmp_path: Path
) -> None:
    recipe = parse_recipe(recipe_text, ["evaluation.slices=[gender]"])
    with pytest.raises(DataError, match="no column 'gender'; did you mean 'genre'"):
        prepared(recipe, tmp_path, frame)


def test_a_slice_by_a_task_is_refused(
    recipe_text: str, frame: pl.DataFrame, tmp_path: Path
) -> None:
    recipe = parse_recipe(recipe_text, ["evaluation.slices=[click]"])
    with pytest.raises(RecipeError, match=r"evaluation\.slices: 'click' is the name of a task"):
        prepared(recipe, tmp_path, frame)


def test_a_missing_split_column_is_named(
    recipe_text: str, frame: pl.DataFrame, tmp_path: Path
) -> None:
    recipe = changed(recipe_text, split="{kind: time, column: when}")
    with pytest.raises(DataError, match="no column 'when'"):
        prepared(recipe, tmp_path, frame)


def test_no_path_and_no_frame_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"data\.path: missing"):
        source_of(Data())


def test_joined_columns_reach_the_encoder(tmp_path: Path) -> None:
    users = tmp_path / "users.parquet"
    pl.DataFrame({"user_id": [1, 2], "country": ["PT", "NO"]}).write_parquet(users)
    data = Data.model_validate({"joins": [{"path": str(users), "on": "user_id"}]})
    frame = pl.DataFrame({"user_id": [2, 1, 3], "click": [1, 0, 1]})
    (chunk,) = source_of(data, frame).chunks(["user_id", "country"])
    assert chunk.frame["country"].to_list() == ["NO", "PT", None]


def test_worlds_are_sources() -> None:
    source = source_of(Data(path="world:app_installs", rows=20, seed=3))
    (chunk,) = source.chunks(["user_id"])
    assert chunk.frame.height == 20
    assert "installed_probability" in source.columns()
