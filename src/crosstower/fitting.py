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

import polars as pl
import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn

from crosstower import __version__
from crosstower.data.batches import Batches
from crosstower.data.encoder_files import load_encoder, save_encoder
from crosstower.data.prepare import Prepared, prepare, source_of
from crosstower.errors import RecipeError, RunError, TrainingError
from crosstower.evaluate.metrics import DEFAULT_METRIC, higher_is_better, task_metrics
from crosstower.files import new_folder, replacing, write_atomic
from crosstower.models.registry import build, config_of
from crosstower.recipe import Recipe, load_recipe
from crosstower.results import write_results
from crosstower.run import PREDICTION, Run, RunInfo
from crosstower.schema import Schema
from crosstower.train.checkpoint import load_weights
from crosstower.train.progress import Watcher, training_bar
from crosstower.train.trainer import BEST, Trainer, pick_device, predict_logits
from crosstower.validation import validate

_VALIDATION_ROWS = 8192
_LIBRARIES = ("torch", "polars", "numpy", "pyarrow")


def fit(
    recipe: str | Path | Recipe | Schema,
    *,
    data: Any = None,
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
    recipe = _as_recipe(recipe, list(overrides))
    if seeds < 1:
        raise RecipeError(f"seeds: expected at least 1, got {seeds}")
    folder = Path("runs") / recipe.name if out is None else Path(out)
    models = _models(recipe)
    _check_monitor(recipe)
    pick_device(recipe.training.device)
    earlier = _earlier(folder, resume=resume)
    console = Console(stderr=True, quiet=quiet)
    spill = folder.parent / f".{folder.name}.rows"
    try:
        prepared = _prepare(recipe, data, spill, earlier, console)
        networks = {name: build(prepared.encoder.layout, m) for name, m in models.items()}
        run = earlier or _create(folder, recipe, models, seeds, prepared)
        _check_same(run, recipe, prepared)
        del networks
        _train_all(run, prepared, console)
    except TrainingError as error:  # which run, only this function knows
        raise type(error)(str(error).replace("--resume RUN", f"--resume {folder}")) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)
    write_results(run, peak_memory_mb=_peak_memory_mb())
    return run


def _as_recipe(recipe: str | Path | Recipe | Schema, overrides: list[str]) -> Recipe:
    if isinstance(recipe, Schema):
        recipe = Recipe(schema=recipe)
    if isinstance(recipe, Recipe):
        if overrides:
            raise RecipeError("overrides only go with a recipe file; change the Recipe instead")
        return recipe
    return load_recipe(recipe, overrides)


def _models(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Return the model and its baselines, which take over the options that they share with it."""
    main = dict(recipe.model)
    models = {main["name"]: main}
    for name in recipe.evaluation.baselines:
        known = config_of(name).model_fields
        shared = {k: v for k, v in main.items() if k in known}
        models.setdefault(name, {"name": name, **shared})
    for name, model in models.items():
        options = {k: v for k, v in model.items() if k != "name"}
        validate(config_of(name), options, where="model")
    return models


def _check_monitor(recipe: Recipe) -> tuple[str, bool]:
    """Return TASK.METRIC to watch, and whether higher is better."""
    tasks = recipe.schema_.tasks
    first = next(iter(tasks))
    monitor = recipe.training.monitor or f"{first}.{DEFAULT_METRIC[tasks[first].kind]}"
    task, _, metric = monitor.rpartition(".")
    if metric == "gauc" and recipe.evaluation.group is None:
        raise RecipeError(f"training.monitor: '{monitor}' needs evaluation.group: COLUMN")
    return monitor, higher_is_better(metric, tasks[task].kind)


def _earlier(folder: Path, *, resume: bool) -> Run | None:
    if resume:
        return Run.open(folder)
    if folder.exists():
        raise RunError(
            f"{folder}: is there already and is never overwritten; choose another folder with"
            f" --out, remove it, or go on with: crosstower fit --resume {folder}"
        )
    return None


def _prepare(
    recipe: Recipe, data: Any, spill: Path, earlier: Run | None, console: Console
) -> Prepared:
    encoder = load_encoder(earlier.folder / "encoder") if earlier else None
    source = source_of(recipe.data, data)
    with console.status("reading") as status:

        def tell(stage: str, rows: int) -> None:
            status.update(f"{stage}: {rows:,} rows")

        return prepare(recipe, source, spill=spill, encoder=encoder, progress=tell)


def _create(
    folder: Path,
    recipe: Recipe,
    models: dict[str, dict[str, Any]],
    seeds: int,
    prepared: Prepared,
) -> Run:
    first = recipe.training.seed
    info = RunInfo(
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        models=models,
        seeds=tuple(range(first, first + seeds)),
        facts=prepared.facts,
        environment=_environment() | {"batch size": str(_batch_size(recipe, prepared))},
    )
    with new_folder(folder) as aside:  # a folder that is there can always be opened
        save_encoder(prepared.encoder, aside / "encoder")
        (aside / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        (aside / "run.json").write_text(info.model_dump_json(indent=1), encoding="utf-8")
    return Run(folder, recipe, info)


def _check_same(run: Run, recipe: Recipe, prepared: Prepared) -> None:
    if run.recipe != recipe:
        raise RunError(
            f"{run.folder}: was trained by another recipe ({run.folder / 'recipe.yaml'});"
            " resume with that one, or choose another folder with --out"
        )
    if run.info.facts.fingerprint != prepared.facts.fingerprint:
        raise RunError(
            f"{run.folder}: the rows have changed since this run began; put the data back, or"
            " train into another folder with --out"
        )


def _train_all(run: Run, prepared: Prepared, console: Console) -> None:
    with training_bar(console) as bar:
        for name in run.info.models:
            for seed in run.info.seeds:
                training = _Training(run, prepared, name, seed)
                if not (training.folder / "test.parquet").is_file():
                    training.go(bar)


@dataclass(frozen=True)
class _Training:
    """One model with one seed."""

    run: Run
    prepared: Prepared
    name: str
    seed: int

    @property
    def folder(self) -> Path:
        return self.run.model_folder(self.name, self.seed)

    def go(self, bar: Progress) -> None:
        """Train (or go on), then predict the test rows with the best weights."""
        self.folder.mkdir(parents=True, exist_ok=True)
        recipe, encoder = self.run.recipe, self.prepared.encoder
        settings, rows = recipe.training, self.prepared.rows["train"]
        device = pick_device(settings.device)
        monitor, higher = _check_monitor(recipe)
        torch.manual_seed(self.seed)
        model = build(encoder.layout, self.run.info.models[self.name]).to(device)
        log = self.folder / "metrics.jsonl"
        watcher = Watcher(bar, name=f"{self.name} seed {self.seed}", monitor=monitor, log=log)
        trainer = Trainer(
            model=model,
            layout=encoder.layout,
            weights={name: task.weight for name, task in recipe.schema_.tasks.items()},
            settings=settings,
            batches=Batches(rows, _batch_size(recipe, self.prepared), seed=self.seed),
            validate=self._validate,
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
        self._test(model)

    def _validate(self, model: nn.Module, precision: str) -> dict[str, float]:
        frame = self._predict(model, "valid", precision)
        group = self.run.recipe.evaluation.group
        metrics: dict[str, float] = {}
        for name, task in self.run.recipe.schema_.tasks.items():
            y = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            p = frame[f"{name}{PREDICTION}"].to_numpy()
            groups = frame[group] if group is not None and task.kind == "binary" else None
            results = task_metrics(task.kind, y, p, groups)
            metrics |= {f"{name}.{metric}": value for metric, value in results.items()}
        return metrics

    def _test(self, model: nn.Module) -> None:
        frame = self._predict(model, "test", "float32")
        with replacing(self.folder / "test.parquet") as aside:
            frame.write_parquet(aside)

    def _predict(self, model: nn.Module, split: str, precision: str) -> pl.DataFrame:
        encoder = self.prepared.encoder
        batches = Batches(self.prepared.rows[split], _VALIDATION_ROWS)
        device = next(model.parameters()).device
        logits = predict_logits(model, batches, device=device, precision=precision)
        columns = [
            pl.Series(f"{name}{PREDICTION}", encoder.decode(name, values.numpy()))
            for name, values in logits.items()
        ]
        return self.prepared.answers[split].with_columns(columns)


def _batch_size(recipe: Recipe, prepared: Prepared) -> int:
    return recipe.training.rows_a_step(len(prepared.rows["train"]))


def _environment() -> dict[str, str]:
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "python": platform.python_version(),
        "crosstower": __version__,
        **versions,
        "system": platform.platform(),
        "threads": str(torch.get_num_threads()),
        "GPU": gpu,
    }


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
