"""Tune a recipe: search its options by validation, then train and test the winner once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crosstower.blending.tuning import quiet as quiet_optuna
from crosstower.data.reading import GivenRows, located, parts_of
from crosstower.errors import RecipeError
from crosstower.fitting.prepared import prepare
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.fitting.tuning.default_space import default_space
from crosstower.fitting.tuning.folder import (
    ROWS,
    Search,
    alone_in,
    begin_folder,
    open_folder,
    refuse_another,
)
from crosstower.fitting.tuning.result import TuneResult
from crosstower.fitting.tuning.space import (
    check_space,
    current_values,
    encodes_again,
)
from crosstower.fitting.tuning.study import Study, optuna
from crosstower.fitting.tuning.trial_run import TrialRows
from crosstower.fitting.tuning.tuning import Tuning
from crosstower.fitting.worker import processes
from crosstower.recipe.arguments import count_of, place_argument
from crosstower.recipe.loading import as_recipe
from crosstower.recipe.overrides import Overrides
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.recipe.tune import Dimension, Tune
from crosstower.training.trainer import TrainingInterruptedError
from crosstower.values.addresses.address import Address


def tune(
    recipe: str | Path | Recipe | Schema,
    *,
    data: Any = None,
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    overrides: Overrides | None = None,
    trials: int | None = None,
    jobs: int = 1,
    seeds: int | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
) -> TuneResult:
    """Search a recipe's options by validation, then train and test the best recipe once.

    The same call continues an interrupted run, or one that has more `trials` now. The first trial
    has the recipe's own values, so the result is never worse on validation rows.

    Example::

        import crosstower as ct

        world = ct.worlds.make("app_installs", rows=1_000)
        recipe = ct.Recipe(
            schema=world.schema,
            model={"name": "mlp", "hidden": [16]},
            training=ct.Training(epochs=1),
            evaluation=ct.Evaluation(baselines=[]),
            tune={"space": {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}},
        )
        result = ct.tune(recipe, data=world.frame, trials=2, out="runs/tuned")
        print(result.value, result.recipe.training.learning_rate)
        run = result.run  # of the best recipe, tested once

    Args:
        recipe: a YAML file, a `Recipe` or a `Schema`. Its `tune` section has the options to search;
            without one, there is a default space per model.
        data: rows that the recipe divides, instead of `data.path`: a polars, pandas or Arrow table,
            or a path.
        train: training rows, if rows come divided, as in `fit`.
        valid: validation rows; a tenth of the training rows if None.
        test: test rows; if None, the winner is not tested.
        overrides: of any recipe: {"training.epochs": 3}, or texts: ["training.epochs=3"].
        trials: number of trials, `tune.trials` if None.
        jobs: trials at the same time, each in a process of its own.
        seeds: training runs of the winner (for mean and sd), 1 if None.
        out: the folder, `runs/NAME-tune` if None.
        quiet: show no progress.

    Raises:
        RecipeError: the recipe or the space is wrong, or Optuna is not installed.
        DataError: the rows are wrong.
        RunError: the folder is the tuning of another recipe, or is in use.
        TrainingError: all trials have failed; names the first error.
        TrainingInterruptedError: Ctrl-C; the same call continues.

    """
    optuna()
    _check(jobs, seeds)
    given, data = located(
        *parts_of(as_recipe(recipe, overrides), GivenRows(data, train, valid, test))
    )
    settings = given.tune or Tune()
    job, _, _ = check_recipe(given)
    space = _checked_space(given)
    limit = settings.trials if trials is None else count_of("trials", trials, error=RecipeError)
    folder = _folder_of(given, out)
    shared = not encodes_again(given, space)
    _refuse_tables(data, jobs, shared=shared)
    if not folder.exists():
        begin_folder(folder, given, space, monitor=job.monitor, prepared=shared)
    before, found = open_folder(folder)
    refuse_another(folder, before, given)
    with alone_in(folder), quiet_optuna(optuna()):
        rows = _rows(folder, given, data, found, quiet=quiet)
        study = Study(folder, found.settings, found.space, higher=found.higher)
        study.take_up()
        study.begin(current_values(given, found.space))
        tuning = Tuning(given, folder, study, found, rows, quiet)
        try:
            tuning.run_trials(limit, jobs)
            return tuning.conclude(seeds)
        except (KeyboardInterrupt, TrainingInterruptedError) as error:
            words = f"stopped, trials kept in {folder}: {study.counted()}"
            raise TrainingInterruptedError(f"{words}; run the same command to continue") from error


def space_of(recipe: Recipe) -> dict[str, Dimension]:
    """Return the search space of a recipe: of its `tune` section, or the default one."""
    own = recipe.tune.space if recipe.tune is not None else {}
    return dict(own) or default_space(recipe)


def _checked_space(recipe: Recipe) -> dict[str, Dimension]:
    """Return the search space of a recipe; the default one has only values that were tried."""
    if recipe.tune is not None and recipe.tune.space:
        check_space(recipe, recipe.tune.space)
    space = space_of(recipe)
    if not space:
        raise RecipeError(
            "tune.space: nothing to search; name options, such as training.learning_rate: {low:"
            " 0.0001, high: 0.01, log: true}"
        )
    return space


def _check(jobs: int, seeds: int | None) -> None:
    count_of("jobs", jobs, error=RecipeError)
    if seeds is not None:
        count_of("seeds", seeds, error=RecipeError)
    if processes() > 1:
        raise RecipeError(
            f"tune: {processes()} processes were started, which would share one training run; start"
            " one process, and run trials side by side with jobs (--jobs)"
        )


def _folder_of(recipe: Recipe, out: Any) -> Path:
    if out is None:
        return Path("runs") / f"{recipe.name}-tune"
    place = place_argument("out", out, error=RecipeError, expected="the folder of the tuning")
    if isinstance(place, Address):
        raise RecipeError(
            f"out: {place} is an address, and the trials are kept in an SQLite file; give a folder"
        )
    return place


def _refuse_tables(data: Any, jobs: int, *, shared: bool) -> None:
    if data is not None and jobs > 1 and not shared:
        raise RecipeError(
            f"jobs: {jobs} processes cannot read rows given as a table, which the options of the"
            " space encode differently; write the table to a Parquet file, or set jobs=1"
        )


def _rows(folder: Path, recipe: Recipe, data: Any, found: Search, *, quiet: bool) -> TrialRows:
    """Return the rows of all trials; encoded once, if the trials agree on how."""
    if not found.prepared:
        return TrialRows(None, data)
    if not (folder / ROWS).is_dir():
        prepare(recipe, folder / ROWS, data=data, quiet=quiet)
    return TrialRows(folder / ROWS)
