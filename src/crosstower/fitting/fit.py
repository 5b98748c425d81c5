"""Train the models of a recipe over seeds, test them once, and write the run folder."""

from __future__ import annotations

import resource
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from crosstower.blending.blend_run import blend_run
from crosstower.data.encoders.files import load_encoder
from crosstower.data.progress import progress_console, progress_on
from crosstower.data.reading import parts_of, training_source
from crosstower.errors import RecipeError, TrainingError
from crosstower.fitting.new_run import create_run, folder_of, refuse_existing
from crosstower.fitting.one_training import OneTraining
from crosstower.fitting.recipe_checks import as_recipe, check_recipe, located
from crosstower.fitting.resuming import (
    begun,
    blend_again,
    check_rows,
    continued,
    keep_recipe,
    named,
)
from crosstower.ranking.data import prepare
from crosstower.ranking.job import RankingJob
from crosstower.ranking.results import write_results
from crosstower.recipe.arguments import count_of
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.retrieval.baselines.fit import baseline_names
from crosstower.retrieval.data.retrieval_data import prepare_retrieval
from crosstower.retrieval.job import RetrievalJob
from crosstower.retrieval.results import write_retrieval_results
from crosstower.training.devices import pick_device
from crosstower.training.job import Job
from crosstower.training.progress import training_bar
from crosstower.training.run import BLENDED, Run


def fit(
    recipe: str | Path | Recipe | Schema,
    *,
    data: Any = None,
    valid: Any = None,
    test: Any = None,
    overrides: Sequence[str] = (),
    seeds: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    finish: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a recipe's model and its baselines, evaluate them once on the test rows.

    Args:
        recipe: a YAML file, a `Recipe`, or a `Schema` (then everything else is default). To resume
            a run its folder will do.
        data: a polars, pandas or Arrow table, or a path, instead of `data.path`.
        valid: validation rows, given like `data`; needs `test`, and a recipe without split.
        test: test rows; then `data` holds the training rows.
        overrides: such as "training.epochs=3"; only with a YAML file.
        seeds: number of trainings per model (for mean and sd), 1 if None.
        out: the run folder, `runs/NAME` if None. It must not exist.
        resume: continue the run in `out`. Finished trainings are kept, unless the recipe has more
            `training.epochs` or `training.patience` than before.
        finish: with `resume`, end the run now: its best weights are tested and reported, trainings
            that have not begun are left out.
        quiet: show no progress.

    Raises:
        RecipeError: the recipe is wrong.
        DataError: the rows are wrong; nothing has been written then.
        RunError: the folder already exists, or is a run of another recipe or of other data.
        TrainingError: the loss became NaN or the disk is full; the checkpoints stay.

    """
    folder = folder_of(recipe, out, resume=resume)
    recipe, data = located(*parts_of(as_recipe(recipe, list(overrides)), data, valid, test))
    folder, tables = folder or Path("runs") / recipe.name, data is not None
    if finish and not resume:
        raise RecipeError("finish: ends a run that has begun, so it needs resume")
    if seeds is not None:
        count_of("seeds", seeds, error=RecipeError)
    models, notes = check_recipe(recipe)
    device = pick_device(recipe.training.device)
    earlier = continued(folder, recipe, seeds, tables=tables) if resume else None
    if earlier is None:
        refuse_existing(folder)
    console = progress_console(quiet=quiet)
    spill = folder.parent / f".{folder.name}.rows"
    try:
        job = _read(recipe, data, spill, earlier, console)
        run = earlier or create_run(
            folder, recipe, models, job, seeds=seeds or 1, tables=tables, notes=notes
        )
        check_rows(run, job.facts)
        keep_recipe(run)
        run = begun(run) if finish else run
        _train(run, job, device, console, finish=finish)
    except TrainingError as error:  # only this function knows the folder
        raise named(error, folder) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)
    _evaluate(run, data, console)
    return run


def _read(recipe: Recipe, data: Any, spill: Path, earlier: Run | None, console: Console) -> Job:
    """Read and encode the rows, for a ranker or for a retriever."""
    encoder = load_encoder(earlier.folder / "encoder") if earlier else None
    source = training_source(recipe.data, data)
    with console.status("reading") as status:
        shown = progress_on(status)
        if recipe.retrieval is None:
            rows = prepare(recipe, source, spill=spill, encoder=encoder, on_progress=shown)
            return RankingJob(recipe, rows)
        found = prepare_retrieval(recipe, source, encoder=encoder, on_progress=shown)
        baseline_names(recipe, len(found.items))  # an impossible one is an error before training
        return RetrievalJob(recipe, found)


def _train(run: Run, job: Job, device: torch.device, console: Console, *, finish: bool) -> None:
    """Train every model with every seed, as far as that has not been done."""
    with training_bar(console) as bar:
        for name in run.info.models:
            for seed in run.info.seeds:
                training = OneTraining(run, job, device, name, seed)
                if training.is_over():
                    continue
                if words := training.reopen():
                    console.print(words, markup=False, highlight=False, soft_wrap=True)
                training.go(bar, finish=finish)
    with console.status("evaluating") as status:
        job.finish(run.folder, progress_on(status))


def _evaluate(run: Run, data: Any, console: Console) -> None:
    """Write metrics and report of the stored test predictions; blend if the recipe says so."""
    write = write_results if run.recipe.retrieval is None else write_retrieval_results
    write(run, peak_memory_mb=_peak_memory_mb())
    with console.status("blending") as status:
        shown = progress_on(status)
        blend_again(run, data, shown)
        # A blend made by hand since then stays.
        if run.recipe.blend is not None and not (run.folder / BLENDED).is_file():
            blend_run(run, on_progress=shown)


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
