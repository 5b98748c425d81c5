"""The folder of a new run: where it lies, and what is written before the first step."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from crosstower.data.encoders.files import save_encoder
from crosstower.errors import RunError
from crosstower.models.registry import MODELS
from crosstower.recipe.arguments import path_of
from crosstower.recipe.kinds.registry import COLUMNS
from crosstower.recipe.recipe import Recipe
from crosstower.storage.files import new_folder
from crosstower.training.job import Job
from crosstower.training.run import Run, RunInfo

_LIBRARIES = ("torch", "polars", "numpy", "pyarrow")


def folder_of(recipe: Any, out: Any, *, resume: bool) -> Path | None:
    """Return the folder given as `out`, or as the recipe of a run to resume; None without either.

    Raises:
        RunError: it is not a path, or a folder that is not to be resumed.

    """
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


def refuse_existing(folder: Path) -> None:
    """Raise RunError if the folder of a new run already exists."""
    if not folder.exists():
        return
    way = ""
    if (folder / "run.json").is_file():
        way = f", or go on with: {Run.open(folder).resume}"
    raise RunError(
        f"{folder}: already exists and is never overwritten; choose another folder with --out,"
        f" remove it{way}"
    )


def create_run(
    folder: Path,
    recipe: Recipe,
    models: dict[str, dict[str, Any]],
    job: Job,
    *,
    seeds: int,
    tables: bool,
    notes: Sequence[str],
) -> Run:
    """Write the folder of a run that has not begun: encoder, recipe, and what is known of it.

    Args:
        folder: must not exist.
        recipe: all paths absolute.
        models: model sections by name, the main model first.
        job: of the rows.
        seeds: number of trainings per model.
        tables: whether the rows were given as tables.
        notes: sentences for the report, in addition to those about the data.

    """
    first, facts, size = recipe.training.seed, job.facts, job.train_rows
    info = RunInfo(
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        models=models,
        seeds=tuple(range(first, first + seeds)),
        facts=facts.model_copy(update={"notes": (*facts.notes, *notes)}),
        environment=_environment() | {"batch size": str(recipe.training.batch_size_for(size))},
        tables=tables,
        modules=MODELS.own(models) | COLUMNS.own(c.kind for c in recipe.schema_.columns.values()),
    )
    with new_folder(folder) as aside:  # a folder that exists can always be opened
        save_encoder(job.encoder, aside / "encoder")
        job.save(aside)
        (aside / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        (aside / "run.json").write_text(info.model_dump_json(indent=1), encoding="utf-8")
    return Run(folder, recipe, info)


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
