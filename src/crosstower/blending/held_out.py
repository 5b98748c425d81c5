"""The validation and test predictions of a run, with the raw columns that a blend needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from crosstower.blending.utility import Utility
from crosstower.data.held_out import held_out_columns
from crosstower.data.reading import training_source
from crosstower.errors import RecipeError, RunError
from crosstower.evaluation.metrics.auc import group_ids
from crosstower.recipe.blend import Blend, Diversity
from crosstower.recipe.own_columns import label_name
from crosstower.training.history import read_predictions
from crosstower.training.run import TEST, VALID, Run


@dataclass(frozen=True)
class HeldOut:
    """Rows of one training: blends are fitted and tuned on `valid`, and shown on `test`."""

    valid: pl.DataFrame
    test: pl.DataFrame

    def by(self, user: str) -> HeldOut:
        """Return the rows with NaN, which is no user, as null in column `user`."""
        return HeldOut(*(f.with_columns(group_ids(f[user])) for f in (self.valid, self.test)))


def user_column(run: Run, given: str | None, utility: Utility | None) -> str:
    """Return the column whose values have a list each.

    Raises:
        RecipeError: nothing says which, or two things say it differently.

    """
    wanted = utility.user if utility is not None else None
    if given is not None and wanted is not None and given != wanted:
        raise RecipeError(
            f"--user: '{given}' was asked for, and the utility says user: {wanted}; give one"
        )
    user = given or wanted or run.recipe.evaluation.group
    if user is None:
        raise RecipeError(
            "blend: whose rows stand in one list? Give --user COLUMN (a user, a session, a"
            " request), or set evaluation.group in the recipe"
        )
    return user


def needed_columns(
    user: str, blend: Blend | None, utility: Utility | None, diversity: Diversity | None
) -> list[str]:
    """Return the raw columns that blending and measuring look at, each once."""
    names = [user, *(blend.columns() if blend is not None else [])]
    names += diversity.columns() if diversity is not None else []
    if utility is not None:
        names += [c.column for c in utility.constraints if c.column is not None]
        others = (utility.amount, utility.relative_to, *utility.by)
        names += [name for name in others if name is not None]
    return list(dict.fromkeys(names))


def refuse_tasks(columns: Sequence[str], tasks: Collection[str]) -> None:
    """Refuse columns that have the name of a task: its label stands in their place.

    Raises:
        RecipeError: there is one.

    """
    for name in columns:
        if name in tasks:
            raise RecipeError(
                f"blend: '{name}' is a task of the run, and its label is not known when rows are"
                " scored; take a column of the rows"
            )


def check_ranks(run: Run) -> None:
    """Refuse a run that retrieves.

    Raises:
        RunError: it is one.

    """
    if run.recipe.retrieval is not None:
        raise RunError(
            f"{run.folder}: a run that retrieves has no tasks to blend; give a run that ranks"
        )


def held_out(
    run: Run, seeds: Sequence[int], columns: Sequence[str], *, data: Any = None
) -> list[HeldOut]:
    """Return the stored predictions of the main model, one a seed.

    Columns that were not stored with the predictions are read from the data of the recipe again,
    or from `data`, which must hold the same rows.

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
    if run.recipe.data.path is None and data is None:
        raise RunError(
            f"{run.folder}: was trained on a data frame, which a run does not keep, and its"
            f" predictions hold no {', '.join(missing)}; give the same rows with --data (in Python:"
            " data)"
        )
    source = training_source(run.recipe.data, data)
    extra = held_out_columns(run.recipe, source, missing, with_labels=True)
    return [
        HeldOut(_beside(run, rows.valid, extra["valid"]), _beside(run, rows.test, extra["test"]))
        for rows in found
    ]


def _beside(run: Run, stored: pl.DataFrame, extra: pl.DataFrame) -> pl.DataFrame:
    if stored.height != extra.height:
        raise RunError(
            f"{run.folder}: {stored.height:,} rows were predicted, the data now gives"
            f" {extra.height:,}: it has changed since; train again, or give the old rows by --data"
        )
    for task in run.recipe.schema_.tasks:
        if not stored[task].equals(extra[label_name(task)]):
            raise RunError(
                f"{run.folder}: the labels of '{task}' are no longer those of the training: the"
                " rows have changed or stand in another order; put them back, or train again"
            )
    labels = [label_name(task) for task in run.recipe.schema_.tasks]
    columns = [name for name in extra.columns if name not in labels]
    return pl.concat([stored, extra.select(columns)], how="horizontal")
