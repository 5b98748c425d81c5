from collections.abc import Callable

import polars as pl
import pytest

from crosstower.data.reading import training_source
from crosstower.data.sources.source import FrameSource
from crosstower.fitting.validation.checks import (
    ALIKE,
    check_cells,
    check_copies,
    check_joins,
    check_missing,
    check_splits,
    check_unseen,
)
from crosstower.fitting.validation.finding import Finding
from crosstower.fitting.validation.seen_rows import SeenRows, see_rows
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe

RECIPE = """
data: {split: {kind: column, column: part}}
schema: {columns: {id: categorical, x: numeric}, tasks: {y: binary}}
"""
Make = Callable[..., pl.DataFrame]


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe(RECIPE)


def rows(**changes: object) -> pl.DataFrame:
    plain = {
        "id": [f"i{n}" for n in range(30)] * 2,
        "x": [float(n) for n in range(60)],
        "y": [0, 1] * 30,
        "part": ["train"] * 40 + ["valid"] * 10 + ["test"] * 10,
    }
    return pl.DataFrame(plain | changes)


def seen(recipe: Recipe, frame: pl.DataFrame) -> SeenRows:
    return see_rows(recipe, FrameSource(frame, "rows"), coded=["id"])


def words(findings: object, severity: str) -> list[str]:
    return [one.sentence for one in findings if one.severity == severity]  # type: ignore[attr-defined]


def test_bad_cells_stop_a_training_unless_they_are_skipped(recipe: Recipe) -> None:
    frame = rows(x=["?", "1"] * 30)
    (found,) = check_cells(recipe, seen(recipe, frame))
    assert found.severity == "problem"
    assert found.sentence.startswith("30 bad cells in 'x': expected a finite number")
    assert found.sentence.endswith("or set data.on_bad_rows: skip")
    assert found.rows == tuple(f"row {n} of rows: '?'" for n in (0, 2, 4))
    skipping = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"on_bad_rows": "skip"})}
    )
    (found,) = check_cells(skipping, seen(recipe, frame))
    assert found.severity == "warning"


def test_splits_need_rows_and_both_classes(recipe: Recipe) -> None:
    found = list(check_splits(recipe, seen(recipe, rows())))
    assert found == [
        Finding(
            check="labels", severity="note", sentence=f"task 'y': mean label 0.5 in the {s} split"
        )
        for s in ("train", "valid", "test")
    ]
    empty = rows(part=["train"] * 50 + ["valid"] * 10)
    assert (
        "the test split has no rows"
        in words(check_splits(recipe, seen(recipe, empty)), "problem")[0]
    )
    one = rows(y=[0, 1] * 25 + [1] * 10)
    assert words(check_splits(recipe, seen(recipe, one)), "problem") == [
        "task 'y': all labels of the test split are 1"
    ]
    none = rows(y=[0, 1] * 20 + [None] * 10 + [0, 1] * 5)
    assert words(check_splits(recipe, seen(recipe, none)), "problem") == [
        "task 'y': no row of the valid split has a label"
    ]


def test_columns_that_say_nothing_or_vanish_are_warnings(recipe: Recipe) -> None:
    assert not list(check_missing(seen(recipe, rows())))
    (constant,) = check_missing(seen(recipe, rows(x=[7.0] * 60)))
    assert constant.sentence == "column 'x': has one value in all train rows; remove it"
    (empty,) = check_missing(seen(recipe, rows(x=pl.Series([None] * 60, dtype=pl.Float64))))
    assert "has no value in the train rows" in empty.sentence
    late = [float(n) for n in range(50)] + [None] * 5 + [1.0] * 5
    (vanished,) = check_missing(seen(recipe, rows(x=late)))
    assert vanished.sentence == (
        "column 'x': missing in 0.0% of the train rows and in 50.0% of the test rows"
    )


def test_values_in_no_training_row_are_counted(recipe: Recipe) -> None:
    ids = ["a", "b"] * 25 + ["a"] * 4 + ["new"] * 6
    found = list(check_unseen(seen(recipe, rows(id=ids))))
    (one,) = found
    assert one.severity == "warning"
    assert one.sentence == (
        f"column 'id': 6 of 10 test values (60.0%) are in no training row, such as new; {ALIKE}"
    )


def test_copies_of_training_rows_are_found_with_their_places(recipe: Recipe) -> None:
    assert not list(check_copies(seen(recipe, rows())))
    frame = rows()
    copied = pl.concat([frame[:55], frame[:5].with_columns(part=pl.lit("test"))])
    (found,) = check_copies(seen(recipe, copied))
    assert found.sentence.startswith("25.0% of the valid and test rows are copies")
    assert found.rows[0] == "row 55 of rows repeats row 0 of rows"


def test_joins_without_matches_are_problems_and_low_ones_warnings(
    tmp_path: object, recipe: Recipe
) -> None:
    path = f"{tmp_path}/table.parquet"
    plain = parse_recipe(
        RECIPE.replace("part}}", f"part}}, joins: [{{path: {path}, on: id}}]}}", 1)
    )

    def joined(ids: list[str]) -> list[Finding]:
        pl.DataFrame({"id": ids, "more": [1] * len(ids)}).write_parquet(path)
        source = training_source(plain.data, rows())
        wide = parse_recipe(RECIPE.replace("x: numeric", "x: numeric, more: numeric"))
        return list(check_joins(see_rows(wide, source, coded=[])))

    (all_found,) = joined([f"i{n}" for n in range(30)])
    assert all_found.severity == "note"
    (half,) = joined([f"i{n}" for n in range(15)])
    assert (half.severity, "50.0%" in half.sentence) == ("warning", True)
    (none,) = joined(["other"])
    assert none.severity == "problem"
