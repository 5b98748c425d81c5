"""`validate`: check the rows of a recipe, or new rows against those of a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crosstower.data.counters.counted_source import counted_source_of, counted_training_source
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.reading import GivenRows, located, parts_of
from crosstower.data.split import SPLITS
from crosstower.errors import RunError
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.fitting.validation.checks import (
    check_cells,
    check_copies,
    check_joins,
    check_missing,
    check_splits,
    check_unseen,
)
from crosstower.fitting.validation.drift import check_drift, check_unseen_by
from crosstower.fitting.validation.finding import Finding, Validation
from crosstower.fitting.validation.leaks import check_leaks
from crosstower.fitting.validation.periods import check_periods, periods_of
from crosstower.fitting.validation.seen_rows import NEW, SeenRows, see_rows
from crosstower.recipe.kinds.coded import Coded
from crosstower.recipe.loading import as_recipe
from crosstower.recipe.overrides import Overrides
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.training.run import Run

_ORDER = ("problem", "warning", "note")


def validate_rows(
    recipe: str | Path | Recipe | Schema,
    data: Any = None,
    *,
    overrides: Overrides | None = None,
    on_progress: OnProgress = no_progress,
) -> Validation:
    """Check the rows that a recipe trains on, without training.

    >>> import crosstower as ct
    >>> world = ct.worlds.make("rentals", rows=2_000)
    >>> found = validate_rows(world.schema, world.frame)
    >>> sum(found.rows.values()), found.problems
    (2000, ())

    Args:
        recipe: a YAML file, a `Recipe` or a `Schema`.
        data: rows instead of `data.path`: a polars, pandas or Arrow table, or a path.
        overrides: of keys of the recipe.
        on_progress: called after each chunk.

    Raises:
        RecipeError: the recipe is wrong.
        DataError: the rows cannot be read, or a column is missing.

    """
    plain, given = located(*parts_of(as_recipe(recipe, overrides), GivenRows(data)))
    check_recipe(plain)
    source = counted_training_source(plain, given)
    seen = see_rows(plain, source, coded=_coded(plain), on_progress=on_progress)
    periods = periods_of(seen)
    found = [
        *check_cells(plain, seen),
        *check_joins(seen),
        *check_splits(plain, seen),
        *check_leaks(seen),
        *([] if plain.retrieval else check_copies(seen)),  # repeated purchases are none
        *check_periods(seen, periods),
        *check_missing(seen),
        *check_unseen(seen),
    ]
    return _validation(seen, found).model_copy(update={"periods": tuple(periods)})


def compare_rows(run: Run, data: Any, *, on_progress: OnProgress = no_progress) -> Validation:
    """Check rows against those that a run was trained on.

    Args:
        run: whose training rows are read again.
        data: new rows: a polars, pandas or Arrow table, or a path.
        on_progress: called after each chunk.

    Raises:
        RunError: the rows of the run were tables, so they cannot be read again.
        DataError: rows cannot be read, or a column is missing.

    """
    recipe = run.recipe
    if run.info.tables:
        raise RunError(
            f"{run.place}: was trained on tables in memory, which cannot be read again; validate"
            " the recipe with the new rows instead"
        )
    coded = _coded(recipe)
    before = see_rows(recipe, counted_training_source(recipe), coded=coded, on_progress=on_progress)
    source = counted_source_of(recipe, data)
    new = see_rows(recipe, source, coded=coded, divided=False, on_progress=on_progress)
    found = [
        *check_cells(recipe, new),
        *check_joins(new),
        *check_drift(before, new),
        *check_unseen_by(before, new),
    ]
    return _validation(new, found).model_copy(update={"compared": before.rows["train"]})


def _coded(recipe: Recipe) -> list[str]:
    columns = recipe.schema_.columns
    return [name for name, column in columns.items() if isinstance(column, Coded)]


def _validation(seen: SeenRows, found: Iterable[Finding]) -> Validation:
    ordered = sorted(found, key=lambda one: _ORDER.index(one.severity))
    rows = {name: seen.rows[name] for name in (*SPLITS, NEW) if seen.rows[name]}
    return Validation(source=seen.source, rows=rows, findings=tuple(ordered))
