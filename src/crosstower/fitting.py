"""Train the models of a recipe over seeds, test them once, and write the run folder."""

from __future__ import annotations

import json
import platform
import resource
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from crosstower.arguments import count_of, path_of
from crosstower.blending.blending import blend_run
from crosstower.data.encoder_files import load_encoder, save_encoder
from crosstower.data.parts import parts_of, training_source
from crosstower.data.prepare import prepare
from crosstower.data.retrieval_data import prepare_retrieval
from crosstower.errors import RecipeError, RunError, TrainingError
from crosstower.files import new_folder, write_atomic
from crosstower.jobs import Job
from crosstower.models.registry import build
from crosstower.nn.embedding import hold_tables
from crosstower.ranking_job import RankingJob
from crosstower.recipe import Recipe
from crosstower.recipe_checks import as_recipe, check_model, models_of
from crosstower.results import write_results
from crosstower.retriever.baselines import baseline_names
from crosstower.retriever.job import RetrievalJob
from crosstower.retriever.results import write_retrieval_results
from crosstower.run import BLENDED, Run, RunInfo
from crosstower.schema import Schema
from crosstower.train.checkpoint import load_weights
from crosstower.train.progress import Watcher, training_bar
from crosstower.train.trainer import BEST, Trainer, pick_device

_LIBRARIES = ("torch", "polars", "numpy", "pyarrow")


def fit(
    recipe: str | Path | Recipe | Schema,
    *,
    data: Any = None,
    valid: Any = None,
    test: Any = None,
    overrides: Sequence[str] = (),
    seeds: int = 1,
    out: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a recipe's model and its baselines, evaluate them once on the test rows.

    Args:
        recipe: a YAML file, a `Recipe`, or a `Schema` (then everything else is default).
        data: a polars, pandas or Arrow table, or a path, instead of `data.path`.
        valid: validation rows that come apart, as `data`; needs `test`, and a recipe without split.
        test: test rows that come apart; then `data` holds the training rows.
        overrides: such as "training.epochs=3"; only with a YAML file.
        seeds: how many trainings of each model; mean and sd are over them.
        out: the run folder, `runs/NAME` if None. It must not be there yet.
        resume: go on with an interrupted run in `out`; finished trainings are kept.
        quiet: show no progress.

    Raises:
        RecipeError: the recipe is wrong.
        DataError: the rows are wrong; nothing has been written then.
        RunError: the folder is there already, or is a run of another recipe or of other data.
        TrainingError: the loss became NaN or the disk is full; the checkpoints stay.

    """
    recipe, data = parts_of(as_recipe(recipe, list(overrides)), data, valid, test)
    count_of("seeds", seeds, error=RecipeError)
    folder = Path("runs") / recipe.name
    if out is not None:
        folder = path_of("out", out, error=RunError, expected="the folder of the new run")
    check_model(recipe)
    models = models_of(recipe)
    pick_device(recipe.training.device)
    earlier = _earlier(folder, resume=resume)
    console = Console(stderr=True, quiet=quiet)
    spill = folder.parent / f".{folder.name}.rows"
    try:
        job = _prepare(recipe, data, spill, earlier, console)
        networks = {name: build(job.encoder.layout, m) for name, m in models.items()}
        run = earlier or _create(folder, recipe, models, seeds, job)
        _check_same(run, recipe, job)
        del networks
        _train_all(run, job, console)
    except TrainingError as error:  # which run, only this function knows
        raise type(error)(str(error).replace("--resume RUN", f"--resume {folder}")) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)
    write = write_results if recipe.retrieval is None else write_retrieval_results
    write(run, peak_memory_mb=_peak_memory_mb())
    # A blend made by hand since then stays.
    if recipe.blend is not None and not (run.folder / BLENDED).is_file():
        with console.status("blending") as status:
            blend_run(run, tell=status.update)
    return run


def _earlier(folder: Path, *, resume: bool) -> Run | None:
    if resume:
        return Run.open(folder)
    if folder.exists():
        raise RunError(
            f"{folder}: is there already and is never overwritten; choose another folder with"
            f" --out, remove it, or go on with: crosstower fit --resume {folder}"
        )
    return None


def _prepare(recipe: Recipe, data: Any, spill: Path, earlier: Run | None, console: Console) -> Job:
    encoder = load_encoder(earlier.folder / "encoder") if earlier else None
    source = training_source(recipe.data, data)
    with console.status("reading") as status:

        def tell(stage: str, rows: int) -> None:
            status.update(f"{stage}: {rows:,} rows")

        if recipe.retrieval is not None:
            found = prepare_retrieval(recipe, source, encoder=encoder, progress=tell)
            baseline_names(recipe, len(found.items))  # one that cannot be had is an error now
            return RetrievalJob(recipe, found)
        rows = prepare(recipe, source, spill=spill, encoder=encoder, progress=tell)
        return RankingJob(recipe, rows)


def _create(
    folder: Path,
    recipe: Recipe,
    models: dict[str, dict[str, Any]],
    seeds: int,
    job: Job,
) -> Run:
    first = recipe.training.seed
    info = RunInfo(
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        models=models,
        seeds=tuple(range(first, first + seeds)),
        facts=job.facts,
        environment=_environment()
        | {"batch size": str(recipe.training.rows_a_step(job.train_rows))},
    )
    with new_folder(folder) as aside:  # a folder that is there can always be opened
        save_encoder(job.encoder, aside / "encoder")
        job.save(aside)
        (aside / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        (aside / "run.json").write_text(info.model_dump_json(indent=1), encoding="utf-8")
    return Run(folder, recipe, info)


def _check_same(run: Run, recipe: Recipe, job: Job) -> None:
    if run.recipe != recipe:
        raise RunError(
            f"{run.folder}: was trained by another recipe ({run.folder / 'recipe.yaml'});"
            " resume with that one, or choose another folder with --out"
        )
    if run.info.facts.fingerprint != job.facts.fingerprint:
        raise RunError(
            f"{run.folder}: the rows have changed since this run began; put the data back, or"
            " train into another folder with --out"
        )


def _train_all(run: Run, job: Job, console: Console) -> None:
    with training_bar(console) as bar:
        for name in run.info.models:
            for seed in run.info.seeds:
                training = _Training(run, job, name, seed)
                if not all((training.folder / name).is_file() for name in job.outputs):
                    training.go(bar)
    with console.status("evaluating") as status:
        job.finish(run.folder, status.update)


@dataclass(frozen=True)
class _Training:
    """One model with one seed."""

    run: Run
    job: Job
    name: str
    seed: int

    @property
    def folder(self) -> Path:
        return self.run.model_folder(self.name, self.seed)

    def go(self, bar: Progress) -> None:
        """Train (or go on), then look at the test rows with the best weights."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings, job = self.run.recipe.training, self.job
        size = settings.rows_a_step(job.train_rows)
        device = pick_device(settings.device)
        monitor, higher = job.monitor
        torch.manual_seed(self.seed)
        model = build(job.encoder.layout, self.run.info.models[self.name]).to(device)
        if settings.tables == "host":
            hold_tables(model, "cpu")
        log = self.folder / "metrics.jsonl"
        watcher = Watcher(bar, name=f"{self.name} seed {self.seed}", monitor=monitor, log=log)
        trainer = Trainer(
            model=model,
            objective=job.objective(size),
            settings=settings,
            batches=job.batches(size, self.seed),
            validate=job.validate,
            monitor=monitor,
            higher_is_better=higher,
            folder=self.folder,
            observer=watcher,
            device=device,
        )
        position = trainer.fit(resume=True)
        watcher.close()
        lines = "".join(json.dumps(record) + "\n" for record in position.history)
        write_atomic(log, lines.encode())
        load_weights(self.folder / BEST, model)
        job.conclude(model, self.folder)


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
