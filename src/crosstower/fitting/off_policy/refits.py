"""Bootstrap refits of a run, which show how much its predictions vary with the training rows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from crosstower.data.counters.counted_source import counted_training_source
from crosstower.data.held_out import split_columns
from crosstower.data.progress import OnProgress
from crosstower.data.split import SPLITS
from crosstower.errors import DataError, RunError
from crosstower.fitting.fit import fit
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import Scorer
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import GivenSplit
from crosstower.training.run import Run

_TRIES = 3  # draws of a refit that may lack a class before it is an error


def refit_scorers(run: Run, count: int, *, on_progress: OnProgress) -> list[Scorer]:
    """Return scorers of `count` training runs of the run's main model, each on a bootstrap sample.

    Training rows are drawn with replacement from the training rows, and valid rows from the valid
    rows. Each refit has its own seed and fits its own encoder, number of epochs and calibration.
    All rows of the run are held in memory.

    Args:
        run: of a ranker, trained from files or a world.
        count: how many training runs, 0 for none.
        on_progress: called with the number of training runs done.

    Raises:
        RunError: the run was trained from a data frame, which it does not keep.
        DataError: no draw has both classes of a task.

    """
    if count == 0:
        return []
    if not run.recipe.data.is_named:
        raise RunError(
            f"{run.folder}: was trained from a data frame, which a run does not keep, so it cannot"
            " be trained again; train from a file, or leave --refits out (in Python: refits)"
        )
    source = counted_training_source(run.recipe)
    rows = split_columns(run.recipe, source, source.columns())
    recipe, scorers = _alone(run.recipe), list[Scorer]()
    for number in range(count):
        scorers.append(_refit(recipe, rows, number))
        on_progress("refits", number + 1, count)
    return scorers


def _alone(recipe: Recipe) -> Recipe:
    """Return a recipe for rows given by split, without baselines and blend."""
    data = recipe.data.model_copy(
        update={
            **dict.fromkeys(("path", "sql", "connection", "valid", "test")),
            "joins": (),
            "split": GivenSplit(),
        }
    )
    evaluation = recipe.evaluation.model_copy(update={"baselines": ()})
    return recipe.model_copy(update={"data": data, "evaluation": evaluation, "blend": None})


def _refit(recipe: Recipe, rows: Mapping[str, pl.DataFrame], number: int) -> Scorer:
    seed = recipe.training.seed + 1 + number
    training = recipe.training.model_copy(update={"seed": seed})
    for attempt in range(_TRIES):
        drawn = {
            split: rows[split].sample(
                fraction=1.0, with_replacement=True, seed=(seed * _TRIES + attempt) * 2 + place
            )
            for place, split in enumerate(SPLITS[:2])
        }
        with tempfile.TemporaryDirectory() as folder:
            try:
                again = fit(
                    recipe.model_copy(update={"training": training}),
                    data={**drawn, "test": rows["test"]},
                    out=Path(folder) / "refit",
                    quiet=True,
                )
            except DataError:  # such as a rare class that the draw misses
                if attempt + 1 == _TRIES:
                    raise
                continue
            return replace(Ranker.open(again).scorer(), blend=None)
    raise DataError("refits: no draw of the rows could be trained on")
