"""Train the models of a recipe over seeds, test them once, and write the run folder."""

from __future__ import annotations

import platform
import resource
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from crosstower.blending.blend_run import blend_run
from crosstower.data.encoders.files import load_encoder, save_encoder
from crosstower.data.progress import progress_console, progress_on
from crosstower.data.reading import parts_of, training_source
from crosstower.errors import RecipeError, RunError, TrainingError
from crosstower.fitting.one_training import OneTraining
from crosstower.fitting.recipe_checks import as_recipe, check_model, models_of
from crosstower.fitting.resuming import (
    begun,
    blend_again,
    keep_recipe,
    located,
    over,
    reopen,
    resumed,
)
from crosstower.models.registry import MODELS, build
from crosstower.nn.wide import unread_crosses
from crosstower.ranking.data import prepare
from crosstower.ranking.job import RankingJob
from crosstower.ranking.results import write_results
from crosstower.recipe.arguments import count_of, path_of
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.retrieval.baselines.fit import baseline_names
from crosstower.retrieval.data.retrieval_data import prepare_retrieval
from crosstower.retrieval.job import RetrievalJob
from crosstower.retrieval.results import write_retrieval_results
from crosstower.storage.files import new_folder
from crosstower.training.devices import pick_device
from crosstower.training.job import Job
from crosstower.training.progress import training_bar
from crosstower.training.run import BLENDED, Run
from crosstower.training.run_info import RunInfo

_LIBRARIES = ("torch", "polars", "numpy", "pyarrow")


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
        valid: validation rows that come apart, as `data`; needs `test`, and a recipe without split.
        test: test rows that come apart; then `data` holds the training rows.
        overrides: such as "training.epochs=3"; only with a YAML file.
        seeds: how many trainings of each model, 1 if None; mean and sd are over them.
        out: the run folder, `runs/NAME` if None. It must not be there yet.
        resume: go on with the run in `out`. Finished trainings are kept, unless the recipe has more
            `training.epochs` or `training.patience` than before.
        finish: with `resume`, end the run now: its best weights are tested and reported, what has
            not begun is left out.
        quiet: show no progress.

    Raises:
        RecipeError: the recipe is wrong.
        DataError: the rows are wrong; nothing has been written then.
        RunError: the folder already exists, or is a run of another recipe or of other data.
        TrainingError: the loss became NaN or the disk is full; the checkpoints stay.

    """
    folder = _folder_of(recipe, out, resume=resume)
    recipe, data = located(*parts_of(as_recipe(recipe, list(overrides)), data, valid, test))
    folder = folder or Path("runs") / recipe.name
    if finish and not resume:
        raise RecipeError("finish: ends a run that has begun, so it goes with resume")
    if seeds is not None:
        count_of("seeds", seeds, error=RecipeError)
    check_model(recipe)
    models = models_of(recipe)
    pick_device(recipe.training.device)
    earlier = _earlier(folder, recipe, seeds, tables=data is not None) if resume else None
    if earlier is None:
        _refuse_existing(folder)
    console = progress_console(quiet=quiet)
    spill = folder.parent / f".{folder.name}.rows"
    try:
        job = _prepare(recipe, data, spill, earlier, console)
        notes, tables = _unread(job, models), data is not None
        run = earlier or _create(
            folder, recipe, models, seeds or 1, job, tables=tables, notes=notes
        )
        _check_rows(run, job)
        keep_recipe(run)
        run = begun(run) if finish else run
        _train_all(run, job, console, finish=finish)
    except TrainingError as error:  # which run, only this function knows
        raise _named(error, folder) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)
    write = write_results if recipe.retrieval is None else write_retrieval_results
    write(run, peak_memory_mb=_peak_memory_mb())
    with console.status("blending") as status:
        blend_again(run, data, progress_on(status))
        # A blend made by hand since then stays.
        if recipe.blend is not None and not (run.folder / BLENDED).is_file():
            blend_run(run, on_progress=progress_on(status))
    return run


def _folder_of(recipe: Any, out: Any, *, resume: bool) -> Path | None:
    """Return the run folder that is named, as the recipe of a run that goes on or by `out`."""
    if out is not None:
        return path_of("out", out, error=RunError, expected="the folder of the new run")
    if not isinstance(recipe, str | Path):
        return None
    if resume and not Path(recipe).exists() and not Path(recipe).suffix:
        raise RunError(f"{recipe}: no such run; give the folder that 'crosstower fit' wrote")
    if not Path(recipe).is_dir():
        return None
    if not resume:
        raise RunError(
            f"{recipe}: a folder, expected a recipe file; go on with a run with resume (--resume)"
        )
    return Path(recipe)


def _earlier(folder: Path, recipe: Recipe, seeds: int | None, *, tables: bool) -> Run:
    run = Run.open(folder)
    if seeds is not None and seeds != len(run.info.seeds):
        raise RunError(
            f"{folder}: has {len(run.info.seeds)} seeds, which stay as they are, got {seeds}; leave"
            " seeds out, or train into another folder"
        )
    if run.info.tables and not tables and recipe.data.path is None:
        raise RunError(
            f"{folder}: was trained on tables, which no file holds; go on with: {run.resume}"
        )
    return resumed(run, recipe, tables=tables)


def _refuse_existing(folder: Path) -> None:
    if not folder.exists():
        return
    way = ""
    if (folder / "run.json").is_file():
        way = f", or go on with: {Run.open(folder).resume}"
    raise RunError(
        f"{folder}: already exists and is never overwritten; choose another folder with --out,"
        f" remove it{way}"
    )


def _named(error: TrainingError, folder: Path) -> TrainingError:
    """Return the error with the way on of this run in place of RUN."""
    words = str(error)
    if "--resume RUN" in words:
        run = Run.open(folder)
        words = words.replace("crosstower fit --resume RUN", run.resume)
        if run.info.tables:
            words = words.replace("--finish", "finish=True")
    return type(error)(words)


def _prepare(recipe: Recipe, data: Any, spill: Path, earlier: Run | None, console: Console) -> Job:
    encoder = load_encoder(earlier.folder / "encoder") if earlier else None
    source = training_source(recipe.data, data)
    with console.status("reading") as status:
        on_progress = progress_on(status)
        if recipe.retrieval is not None:
            found = prepare_retrieval(recipe, source, encoder=encoder, on_progress=on_progress)
            baseline_names(recipe, len(found.items))  # one that cannot be had is an error now
            return RetrievalJob(recipe, found)
        rows = prepare(recipe, source, spill=spill, encoder=encoder, on_progress=on_progress)
        return RankingJob(recipe, rows)


def _unread(job: Job, models: dict[str, dict[str, Any]]) -> list[str]:
    """Build each model once, so that its errors come early; name the crosses it does not read."""
    unread, layout = dict[str, list[str]](), job.encoder.layout
    for name, model in models.items():
        for cross in unread_crosses(layout, build(layout, model)):
            unread.setdefault(cross, []).append(name)
    return [
        f"{cross}: a cross without dim, which a wide side alone reads; not used by"
        f" {', '.join(names)}: set its dim, or take wide_deep"
        for cross, names in unread.items()
    ]


def _create(
    folder: Path,
    recipe: Recipe,
    models: dict[str, dict[str, Any]],
    seeds: int,
    job: Job,
    *,
    tables: bool,
    notes: Sequence[str],
) -> Run:
    first = recipe.training.seed
    info = RunInfo(
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        models=models,
        seeds=tuple(range(first, first + seeds)),
        facts=job.facts.model_copy(update={"notes": (*job.facts.notes, *notes)}),
        environment=_environment()
        | {"batch size": str(recipe.training.batch_size_for(job.train_rows))},
        tables=tables,
        modules=MODELS.own(models),
    )
    with new_folder(folder) as aside:  # a folder that is there can always be opened
        save_encoder(job.encoder, aside / "encoder")
        job.save(aside)
        (aside / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        (aside / "run.json").write_text(info.model_dump_json(indent=1), encoding="utf-8")
    return Run(folder, recipe, info)


def _check_rows(run: Run, job: Job) -> None:
    if run.info.facts.fingerprint != job.facts.fingerprint:
        back = f"give the same: {run.resume}" if run.info.tables else "put the data back"
        raise RunError(
            f"{run.folder}: the rows have changed since this run began; {back}, or train into"
            " another folder with --out"
        )


def _train_all(run: Run, job: Job, console: Console, *, finish: bool) -> None:
    with training_bar(console) as bar:
        for name in run.info.models:
            for seed in run.info.seeds:
                if over(run, name, seed, job.outputs):
                    continue
                if words := reopen(run, name, seed, job.outputs):
                    console.print(words, markup=False, highlight=False, soft_wrap=True)
                OneTraining(run, job, name, seed).go(bar, finish=finish)
    with console.status("evaluating") as status:
        job.finish(run.folder, progress_on(status))


def _environment() -> dict[str, str]:
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "python": platform.python_version(),
        "crosstower": metadata.version("crosstower"),
        **versions,
        "system": platform.platform(),
        "threads": str(torch.get_num_threads()),
        "GPU": gpu,
    }


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
