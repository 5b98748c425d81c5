"""Prepare the rows of a recipe once, for any number of training runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from crosstower.data.counters.counted_source import counted_training_source
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.learned import Learned
from crosstower.data.prepared_folder import (
    MANIFEST,
    PreparedFolder,
    open_prepared,
    write_prepared,
)
from crosstower.data.progress import progress_console, progress_on
from crosstower.data.reading import GivenRows, located, parts_of
from crosstower.errors import RecipeError, RunError
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.ranking.data import evaluation_columns
from crosstower.recipe.arguments import place_argument
from crosstower.recipe.loading import as_recipe
from crosstower.recipe.overrides import Overrides
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.storage.folders import publishing
from crosstower.training.job import Job
from crosstower.values.addresses.address import Place

_COLUMN_OPTIONS = frozenset({"dim", "pooling", "blocks", "heads", "alpha", "cutoff"})
_TASK_OPTIONS = frozenset({"weight", "loss", "class_weight", "label_smoothing"})
_DATA_OPTIONS = frozenset({"memory_mb", "engine", "runner"})
_RETRIEVAL_OPTIONS = frozenset(
    {
        *("objective", "negatives", "log_q", "mask_accidental"),
        *("valid_queries", "k", "baselines"),
    }
)
"""Options that training runs on the same prepared rows may set differently."""


def prepare(
    recipe: str | Path | Recipe | Schema,
    out: str | Place,
    *,
    data: Any = None,
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    overrides: Overrides | None = None,
    quiet: bool = False,
) -> PreparedFolder:
    """Write the encoder and the encoded rows of a recipe, for `fit(..., prepared=out)`.

    Args:
        recipe: a YAML file, a `Recipe` or a `Schema`.
        out: path or address of the new folder, which appears when it is complete.
        data: rows that the recipe divides, instead of `data.path`: a polars, pandas or Arrow table,
            or a path.
        train: training rows, if rows come divided, as in `fit`.
        valid: validation rows; a tenth of the training rows if None.
        test: test rows; nothing is tested if None.
        overrides: of any recipe: {"data.memory_mb": 4096}, or texts: ["data.memory_mb=4096"].
        quiet: show no progress.

    Returns:
        The folder, or its local copy if `out` is an address.

    Raises:
        RecipeError: the recipe is wrong.
        DataError: the rows are wrong; nothing has been written then.
        RunError: the folder already exists.

    """
    expected = "the new folder of prepared rows"
    place = place_argument("out", out, error=RunError, expected=expected)
    rows = GivenRows(data, train, valid, test)
    recipe, data = located(*parts_of(as_recipe(recipe, overrides), rows))
    job, _, _ = check_recipe(recipe)
    fitted = EncoderFit(recipe.schema_)
    with publishing(place, MANIFEST, error=RunError) as aside:
        spill = aside.with_name(f"{aside.name}.rows")
        try:
            source = counted_training_source(recipe, data)
            with progress_console(quiet=quiet).status("reading") as status:
                job.read(source, spill=spill, encoder=fitted, on_progress=progress_on(status))
            store_prepared(aside, recipe, job, fitted.learned())
        finally:
            shutil.rmtree(spill, ignore_errors=True)
    return open_prepared(place)


def store_prepared(folder: Path, recipe: Recipe, job: Job, learned: Learned) -> PreparedFolder:
    """Write the rows of a job that has read them.

    Args:
        folder: exists and is empty.
        recipe: of the job, all paths absolute.
        job: its rows are read.
        learned: state from which a warm start continues.

    """
    shards = job.store(folder)
    return write_prepared(folder, recipe, (job.encoder, learned), job.facts, shards)


def prepared_for(folder: str | Place, recipe: Recipe) -> PreparedFolder:
    """Return prepared rows that fit a recipe.

    Args:
        folder: path or address, written by `prepare`.
        recipe: all paths absolute.

    Raises:
        RunError: the folder is incomplete or damaged, or the rows are those of another recipe;
            names the differences.

    """
    stored = open_prepared(folder)
    differ = list(differences(stored.recipe, recipe))
    if differ:
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise RunError(
            f"{folder}: was prepared for another recipe ({'; '.join(differ[:3])}{more}); change"
            " the recipe back, or prepare its rows in another folder with: crosstower prepare"
        )
    return replace(stored, recipe=recipe)


def refuse_with_prepared(data: Any, warm_start: Any) -> None:
    """Raise RecipeError for rows or an earlier run in addition to prepared rows."""
    if data is not None:
        raise RecipeError("prepared: already holds the rows; drop data, valid and test")
    if warm_start is not None:
        raise RecipeError(
            "prepared: has an encoder of its own, but a warm start uses the encoder of the"
            " earlier run; drop prepared (--prepared) or warm_start (--from)"
        )


def differences(before: Recipe, after: Recipe) -> Iterator[str]:
    """Yield the options by which the encoded rows of two recipes differ."""
    one, other = dict(_that_matters(before)), dict(_that_matters(after))
    for key in dict.fromkeys([*one, *other]):
        if one.get(key) != other.get(key):
            yield f"{key}: {one.get(key)!r}, now {other.get(key)!r}"
    if list(one) != list(other) and one == other:
        yield "schema: the order of columns or tasks"
    for name in sorted(_balanced(after) - _balanced(before)):
        yield f"schema.tasks.{name}.class_weight: now balanced, which needs shares of labels"
    if before.retrieval is None and after.retrieval is None:
        kept = {*evaluation_columns(before)}
        missing = [name for name in evaluation_columns(after) if name not in kept]
        if missing:
            yield f"no column {', '.join(map(repr, missing))} for evaluation, calibration or blend"
        if set(after.amounts) - set(before.amounts):
            yield f"blend.amount: {before.amounts or None}, now {after.amounts[0]!r}"


def _that_matters(recipe: Recipe) -> Iterator[tuple[str, object]]:
    """Yield the options that the encoded rows depend on."""
    yield "job", "rank" if recipe.retrieval is None else "retrieve"
    plain = recipe.model_dump(mode="json", by_alias=True)
    for name, column in plain["schema"]["columns"].items():
        yield f"schema.columns.{name}", _without(column, _COLUMN_OPTIONS)
    for name, task in plain["schema"]["tasks"].items():
        yield f"schema.tasks.{name}", _without(task, _TASK_OPTIONS)
    for key, value in _without(plain["data"], _DATA_OPTIONS).items():
        yield f"data.{key}", value
    yield "training.group", plain["training"]["group"]
    if plain["retrieval"] is not None:
        plain["retrieval"]["history"] = retrieval_section_of(recipe).history.trained
        for key, value in _without(plain["retrieval"], _RETRIEVAL_OPTIONS).items():
            yield f"retrieval.{key}", value
        yield "model.item", recipe.model.get("item")


def _balanced(recipe: Recipe) -> set[str]:
    """Return the tasks whose class weights need the shares of their labels."""
    tasks = recipe.schema_.tasks.items()
    return {n for n, t in tasks if isinstance(t, Binary) and t.class_weight == "balanced"}


def _without(plain: dict[str, Any], options: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in plain.items() if key not in options}
