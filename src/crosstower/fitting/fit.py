"""Train the models of a recipe over seeds, test them once, and write the run folder."""

from __future__ import annotations

import resource
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from crosstower.blending.blend_run import blend_run
from crosstower.data.counters.counted_source import counted_training_source
from crosstower.data.encoders.encoder_files import load_encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.learned import load_learned
from crosstower.data.prepared_folder import PreparedFolder
from crosstower.data.progress import progress_console, progress_on
from crosstower.data.reading import GivenRows, located, parts_of
from crosstower.errors import RecipeError, TrainingError
from crosstower.fitting.distributed_checks import check_processes
from crosstower.fitting.new_run import create_run
from crosstower.fitting.one_training import OneTraining
from crosstower.fitting.prepared import prepared_for, refuse_with_prepared
from crosstower.fitting.rank_zero import begin_once, read_once
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.fitting.resuming import blend_again, continued, going_on, named
from crosstower.fitting.run_place import (
    new_place,
    place_of_run,
    published,
    refuse_existing,
    refuse_overwriting,
)
from crosstower.fitting.warm_start import freeze_notes, start_notes, start_of
from crosstower.fitting.worker import processes, restarts
from crosstower.nn.world import World
from crosstower.ranking.results import write_results
from crosstower.recipe.arguments import count_of
from crosstower.recipe.loading import as_recipe
from crosstower.recipe.overrides import Overrides
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.retrieval.data.tower_columns import frozen_columns
from crosstower.training.devices import pick_device
from crosstower.training.distributed.lost import naming_lost
from crosstower.training.distributed.world import open_world
from crosstower.training.job import Job
from crosstower.training.progress import training_bar
from crosstower.training.run import BLENDED, Run
from crosstower.training.trackers.tracking import Tracking
from crosstower.values.addresses.address import Place


def fit(
    recipe: str | Path | Recipe | Schema,
    *,
    data: Any = None,
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    overrides: Overrides | None = None,
    seeds: int | None = None,
    out: str | Place | None = None,
    overwrite: bool = False,
    warm_start: Run | str | Path | None = None,
    prepared: str | Place | None = None,
    resume: bool = False,
    finish: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a recipe's model and its baselines, evaluate them once on the test rows.

    >>> import crosstower as ct
    >>> import polars as pl
    >>> films = ["alien", "brazil", "cube"]
    >>> rows = {"user": [1, 2, 3] * 40, "film": films * 40, "click": [0, 1, 1, 0] * 30}
    >>> columns = {"user": ct.Categorical(), "film": ct.Categorical()}
    >>> recipe = ct.Recipe(
    ...     schema=ct.Schema(columns=columns, tasks={"click": ct.Binary()}),
    ...     model={"name": "mlp", "hidden": [16]},
    ...     training=ct.Training(epochs=2),
    ... )
    >>> run = ct.fit(recipe, data=pl.DataFrame(rows), quiet=True)
    >>> list(run.metrics["tasks"]["click"])
    ['mlp', 'logistic_regression', 'Constant base rate']
    >>> run.predict(pl.DataFrame({"user": [1, 2], "film": ["brazil", "cube"]})).columns
    ['click__prediction']

    A recipe may be a file, whose run is trained in `runs/NAME`: `ct.fit("clicks.yaml", seeds=5)`.

    Args:
        recipe: a YAML file, a `Recipe`, or a `Schema` (then everything else is default). To resume
            a run its folder will do.
        data: rows that the recipe divides into train, validation and test rows, instead of
            `data.path`: a polars, pandas or Arrow table, or a path.
        train: training rows, if rows come divided; then the recipe has no split of its own.
        valid: validation rows; a tenth of the training rows, drawn at random, if None.
        test: test rows; if None, nothing is tested, and the report says so.
        overrides: of any recipe: {"training.epochs": 3}, or texts: ["training.epochs=3"].
        seeds: number of training runs per model (for mean and sd), 1 if None.
        out: the run folder. If None, it is `runs/NAME` for a recipe file, and a new folder of the
            system's temporary folder for a recipe made in Python. The run of an address is trained
            in the cache folder (`CROSSTOWER_CACHE`) and uploaded when it is finished.
        overwrite: replace the run in `out`, as soon as the new rows are read; otherwise `out` must
            not exist.
        warm_start: an earlier run of the same columns, tasks and models. Training continues from
            its weights, optimiser states and statistics; `data` holds the rows since then.
        prepared: a folder of encoded rows that `crosstower prepare` wrote for this recipe. Columns'
            `dim` and `pooling`, tasks' `weight`, `loss`, `class_weight` and `label_smoothing`,
            model and training may differ.
        resume: continue the run in `out`. Finished models and seeds are kept, unless the recipe has
            more `training.epochs` or `training.patience` than before.
        finish: with `resume`, end the run now: its best weights are tested and reported; models
            and seeds that have not begun are left out.
        quiet: show no progress.

    Raises:
        RecipeError: the recipe is wrong.
        DataError: the rows are wrong; nothing has been written then.
        RunError: the folder already exists, or is a run of another recipe or of other data; or
            `prepared` does not fit the recipe.
        TrainingError: the loss became NaN or the disk is full; the checkpoints stay.

    """
    _check_ways(out, resume=resume, finish=finish, overwrite=overwrite)
    place = place_of_run(recipe, out, resume=resume)
    given = place if resume and out is None and place is not None else recipe
    plain, rows = as_recipe(given, overrides), GivenRows(data, train, valid, test)
    recipe, data = located(*parts_of(plain, rows))
    folder = place or new_place(recipe.name, temporary=not resume and _is_made(given))
    tables = data is not None
    every_seed, device = _seeds(recipe, seeds), pick_device(recipe.training.device)
    free = partial(refuse_existing, folder, overwrite=overwrite, start=warm_start, recipe=recipe)
    check_processes(recipe.training, processes())
    world = open_world(device, timeout=recipe.training.timeout)
    again = restarts() > 0 and world.first((folder / "run.json").is_file)  # has begun before
    resume, warm_start = resume or again, None if again else warm_start
    job, models, notes = check_recipe(recipe, world)
    stored = _stored(prepared, recipe, data, warm_start, world)
    start = start_of(warm_start, recipe, models, every_seed, resume=resume)
    earlier = continued(folder, recipe, seeds, tables=tables) if resume else None
    world.first(lambda: None if resume else free())
    console = progress_console(quiet=quiet or world.rank > 0)
    spill = folder.parent / f".{folder.name}.rows"
    try:
        learned = None if start is None else load_learned(start.folder / "encoder")
        fitted = EncoderFit(recipe.schema_, learned, frozen_columns(recipe))
        if stored is not None:
            job.load(stored)
        else:
            encoder = fitted if earlier is None else load_encoder(earlier.folder / "encoder")
            with console.status("reading") as status:
                shown = progress_on(status)

                def read() -> None:
                    source = counted_training_source(recipe, data)
                    job.read(source, spill=spill, encoder=encoder, on_progress=shown)

                shared = spill / "prepared"
                read_once(read, job, recipe, learned=fitted.learned, folder=shared, world=world)
        if start is not None:
            notes += [*start_notes(start, job.encoder), *freeze_notes(fitted)]
        begin = partial(
            create_run,
            folder,
            recipe,
            models,
            job,
            seeds=tuple(every_seed),
            tables=tables,
            notes=notes,
            learned=fitted.learned() if stored is None else stored.learned,
            start=start,
            overwrite=overwrite,
        )
        if earlier is not None:
            begin = partial(going_on, earlier, job.facts, finish=finish)
        run = begin_once(begin, folder, world)
        _train(run, job, device, console, finish=finish, world=world)
    except TrainingError as error:  # only this function knows the folder
        raise named(error, folder) from error
    finally:
        if world.rank == 0:
            shutil.rmtree(spill, ignore_errors=True)
    world.first(lambda: _evaluate(run, data, console))
    copy = Path(world.first(lambda: published(run)))
    return run if copy == run.folder else Run.open(copy)


def _check_ways(out: Any, *, resume: bool, finish: bool, overwrite: bool) -> None:
    if overwrite:
        refuse_overwriting(out, resume=resume)
    if finish and not resume:
        raise RecipeError("finish: ends a run that has begun, so it needs resume")


def _is_made(recipe: Any) -> bool:
    """Return whether a recipe was made in Python rather than written into a file."""
    return isinstance(recipe, Recipe | Schema)


def _stored(
    prepared: Any, recipe: Recipe, data: Any, warm_start: Any, world: World
) -> PreparedFolder | None:
    """Return prepared rows that fit the recipe, if any are given; one process reads all shards."""
    if prepared is None:
        return None
    refuse_with_prepared(data, warm_start)
    stored = prepared_for(prepared, recipe)
    world.first(stored.check_rows)
    return stored


def _seeds(recipe: Recipe, count: int | None) -> range:
    """Return the seeds, starting with the recipe's; one if `count` is None."""
    first = recipe.training.seed
    trainings = 1 if count is None else count_of("seeds", count, error=RecipeError)
    return range(first, first + trainings)


def _train(
    run: Run, job: Job, device: torch.device, console: Console, *, finish: bool, world: World
) -> None:
    """Train every model with every seed, except those already trained."""
    tracking = Tracking(run, active=world.rank == 0)
    with naming_lost(world), training_bar(console) as bar:
        for name in run.info.models:
            for seed in run.info.seeds:
                training = OneTraining(run, job, device, name, seed, world)
                words = world.first(training.reopen)
                if words is None:
                    continue
                if words:
                    console.print(words, markup=False, highlight=False, soft_wrap=True)
                with tracking.training(name, seed) as observers:
                    replace(training, observers=observers).go(bar, finish=finish)
    with console.status("evaluating") as status:
        world.first(lambda: job.finish(run.folder, progress_on(status)))


def _evaluate(run: Run, data: Any, console: Console) -> None:
    """Write metrics and report of the stored test predictions; blend if the recipe says so."""
    if run.recipe.retrieval is None:
        write_results(run, peak_memory_mb=_peak_memory_mb())
    else:
        from crosstower.retrieval.results import (  # noqa: PLC0415 - a ranker needs none of it
            write_retrieval_results,
        )

        write_retrieval_results(run, peak_memory_mb=_peak_memory_mb())
    with console.status("blending") as status:
        shown = progress_on(status)
        blend_again(run, data, shown)
        # A blend made by hand since then stays.
        if run.recipe.blend is not None and not (run.folder / BLENDED).is_file():
            blend_run(run, on_progress=shown)
    Tracking(run, active=True).conclude()


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
