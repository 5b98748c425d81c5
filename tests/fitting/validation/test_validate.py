from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from crosstower.data.datasets import worlds
from crosstower.errors import RecipeError, RunError
from crosstower.fitting.validation.validate import compare_rows, validate_rows
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run

from ...fixtures.films import recipe as film_recipe


def test_all_checks_are_made_and_problems_come_first(recipe: Recipe, frame: pl.DataFrame) -> None:
    leaking = frame.with_columns(
        age=pl.col("click") * 1.0, user_id=pl.when(pl.col("click") == 1).then("user_id")
    )
    found = validate_rows(recipe, pl.concat([leaking, leaking[:400]]))
    assert sum(found.rows.values()) == 1600
    assert list(found.rows) == ["train", "valid", "test"]
    severities = [one.severity for one in found.findings]
    assert severities == sorted(severities, key=["problem", "warning", "note"].index)
    assert {one.check for one in found.problems} == {"leaks"}
    assert {one.check for one in found.of("warning")} >= {"copies"}


def test_rows_without_fault_have_no_problems(recipe: Recipe) -> None:
    found = validate_rows(recipe)
    assert (found.problems, found.of("warning")) == ((), ())
    other = validate_rows(recipe, overrides={"data.split": {"kind": "random", "seed": 1}})
    assert other.rows != found.rows


def test_a_wrong_recipe_is_refused_before_rows_are_read(recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="hiden"):
        validate_rows(recipe, "no-such-file.parquet", overrides=["model.hiden=[8]"])


def test_rows_of_a_retriever_are_checked_without_its_history(tmp_path: Path) -> None:
    found = validate_rows(film_recipe(tmp_path))
    assert found.rows == {"train": 3760, "valid": 120, "test": 120}
    assert found.problems == ()


def test_new_rows_are_compared_with_those_of_a_run(feed_run: Run) -> None:
    same = worlds.make("feed_engagement", rows=8_000, seed=0).frame
    found = compare_rows(feed_run, same)
    assert (found.rows, found.problems) == ({"new": 8_000}, ())
    assert found.compared > 30_000
    assert not [one for one in found.findings if one.check == "drift"]
    column = next(iter(feed_run.recipe.schema_.columns))
    other = same.with_columns(pl.lit(-7).cast(same.schema[column]).alias(column))
    found = compare_rows(feed_run, other)
    assert {one.check for one in found.of("warning")} == {"drift", "unseen"}
    assert all(f"'{column}'" in one.sentence for one in found.of("warning"))


def test_a_run_on_tables_cannot_be_compared(feed_run: Run) -> None:
    run = replace(feed_run, info=feed_run.info.model_copy(update={"tables": True}))
    with pytest.raises(RunError, match="tables in memory"):
        compare_rows(run, "rows.parquet")
