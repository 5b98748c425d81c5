"""The validation and test predictions of a run, with the raw columns that a blend needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from crosstower.blending.utility import Utility
from crosstower.data.counters.counted_source import counted_training_source
from crosstower.data.held_out import held_out_columns, split_columns
from crosstower.errors import RecipeError, RunError
from crosstower.evaluation.metrics.auc import group_ids
from crosstower.recipe.blend import Blend, Diversity
from crosstower.recipe.own_columns import label_name
from crosstower.training.history import read_predictions
from crosstower.training.run import TEST, VALID, Run

_VALID = "valid"


@dataclass(frozen=True)
class HeldOut:
    """Predictions of one training run: blends are fitted on `valid` and measured on `test`."""

    valid: pl.DataFrame
    test: pl.DataFrame

    def by(self, user: str) -> HeldOut:
        """Return the rows with null instead of NaN in column `user`: NaN is not a user."""
        return HeldOut(*(f.with_columns(group_ids(f[user])) for f in (self.valid, self.test)))


def user_column(run: Run, given: str | None, utility: Utility | None) -> str:
    """Return the column that defines one list per value.

    Raises:
        RecipeError: no column is given, or two different ones are.

    """
    wanted = utility.user if utility is not None else None
    if given is not None and wanted is not None and given != wanted:
        raise RecipeError(
            f"--user: '{given}' was given, but the utility has user: {wanted}; give only one"
        )
    user = given or wanted or run.recipe.evaluation.group
    if user is None:
        raise RecipeError(
            "blend: no column groups the rows into lists; give --user COLUMN (a user, a session, a"
            " request), or set evaluation.group in the recipe"
        )
    return user


def needed_columns(
    user: str, blend: Blend | None, utility: Utility | None, diversity: Diversity | None
) -> list[str]:
    """Return the raw columns that blending and measuring read, each once."""
    names = [user, *(blend.columns() if blend is not None else [])]
    names += diversity.columns() if diversity is not None else []
    if utility is not None:
        names += [c.column for c in utility.constraints if c.column is not None]
        others = (utility.amount, utility.relative_to, *utility.by)
        names += [name for name in others if name is not None]
    return list(dict.fromkeys(names))


def refuse_tasks(columns: Sequence[str], tasks: Collection[str]) -> None:
    """Reject columns that have the name of a task, whose label takes that name.

    Raises:
        RecipeError: there is one.

    """
    for name in columns:
        if name in tasks:
            raise RecipeError(
                f"blend: '{name}' is a task of the run, whose label is unknown when rows are"
                " scored; name a column of the rows"
            )


def check_ranks(run: Run) -> None:
    """Reject a retrieval run.

    Raises:
        RunError: the run has no ranker.

    """
    if run.recipe.retrieval is not None:
        raise RunError(f"{run.folder}: a retrieval run has no tasks to blend; give a ranking run")


def held_out(
    run: Run, seeds: Sequence[int], columns: Sequence[str], *, data: Any = None
) -> list[HeldOut]:
    """Return the stored predictions of the main model, one per seed.

    Columns that were not stored with the predictions are read from the recipe's data again, or from
    `data`, which must have the same rows.

    Raises:
        RunError: predictions are missing, the run was trained on a data frame that is not given
            again, or the rows have changed.
        DataError: the data has no such column.

    """
    model = next(iter(run.info.models))
    found = [
        HeldOut(*(read_predictions(run, model, seed, name) for name in (VALID, TEST)))
        for seed in seeds
    ]
    missing = [c for c in columns if c not in found[0].test.columns]
    if not missing:
        return found
    if not run.recipe.data.is_named and data is None:
        raise RunError(
            f"{run.folder}: was trained on a data frame, which a run does not store, and its"
            f" predictions lack {', '.join(missing)}; give the same rows with --data (in Python:"
            " data)"
        )
    source = counted_training_source(run.recipe, data)
    extra = held_out_columns(run.recipe, source, missing, with_labels=True)
    return [
        HeldOut(_beside(run, rows.valid, extra["valid"]), _beside(run, rows.test, extra["test"]))
        for rows in found
    ]


def valid_rows(run: Run, model: str, seed: int, columns: Sequence[str]) -> pl.DataFrame:
    """Return the stored predictions of the validation rows, with raw columns of these rows.

    Columns that were not stored with the predictions are read from the recipe's data again.

    Raises:
        RunError: predictions are missing, the run was trained on a data frame and a column was not
            stored, or the rows have changed.
        DataError: the data has no such column.

    """
    found = read_predictions(run, model, seed, VALID)
    missing = [name for name in columns if name not in found.columns]
    if not missing:
        return found
    if not run.recipe.data.is_named:
        raise RunError(
            f"{run.folder}: was trained on a data frame, which a run does not store, and its"
            f" predictions lack {', '.join(missing)}; name it in evaluation.slices, train again"
        )
    source = counted_training_source(run.recipe)
    extra = split_columns(run.recipe, source, missing, with_labels=True, splits=(_VALID,))
    return _beside(run, found, extra[_VALID])


def _beside(run: Run, stored: pl.DataFrame, extra: pl.DataFrame) -> pl.DataFrame:
    if stored.height != extra.height:
        raise RunError(
            f"{run.folder}: {stored.height:,} rows were predicted, the data now gives"
            f" {extra.height:,}: it has changed since; train again, or give the old rows with"
            " --data"
        )
    for task in run.recipe.schema_.tasks:
        if not stored[task].equals(extra[label_name(task)]):
            raise RunError(
                f"{run.folder}: the labels of '{task}' are no longer those of the training: the"
                " rows or their order have changed; restore them, or train again"
            )
    labels = [label_name(task) for task in run.recipe.schema_.tasks]
    columns = [name for name in extra.columns if name not in labels]
    return pl.concat([stored, extra.select(columns)], how="horizontal")
