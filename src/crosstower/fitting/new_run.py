"""Make a run folder: its facts, its encoder and its recipe."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from crosstower.data.encoders.encoder_files import save_encoder
from crosstower.data.encoders.learned import Learned, save_learned
from crosstower.fitting.pretrained import check_vectors
from crosstower.models.registry import MODELS
from crosstower.nn.sequences.registry import SEQUENCES
from crosstower.recipe.kinds.id_lists import ListColumn
from crosstower.recipe.kinds.registry import COLUMNS
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.sources import kinds_of
from crosstower.storage.files import new_folder
from crosstower.training.job import Job
from crosstower.training.run import Run
from crosstower.training.run_info import RunInfo
from crosstower.values.instants import minute_text

LIBRARIES = ("torch", "polars", "numpy", "pyarrow")
"""Packages whose versions runs and bundles name."""


def create_run(
    folder: Path,
    recipe: Recipe,
    models: dict[str, dict[str, Any]],
    job: Job,
    *,
    seeds: tuple[int, ...],
    tables: bool,
    notes: Sequence[str],
    learned: Learned,
    start: Run | None = None,
    overwrite: bool = False,
) -> Run:
    """Write the folder of a run that has not begun: encoder, recipe and facts.

    Args:
        folder: must not exist, unless it is overwritten.
        recipe: all paths absolute.
        models: model sections by name, the main model first.
        job: of the rows.
        seeds: one per training run of each model.
        tables: whether the rows were given as tables.
        notes: sentences for the report, in addition to those about the data.
        learned: state from which a warm start from this run continues.
        start: the run that this one starts from.
        overwrite: remove the run in the folder, if there is one.

    """
    if recipe.training.pretrained:
        check_vectors(recipe, job.encoder)
    facts = job.facts
    info = RunInfo(
        created=minute_text(datetime.now(UTC)),
        models=models,
        seeds=seeds,
        facts=facts.model_copy(update={"notes": (*facts.notes, *job.notes(), *notes)}),
        environment=_environment() | {"batch size": str(job.batch_size)},
        tables=tables,
        modules=_own_modules(recipe, models),
        warm_start=None if start is None else str(start.folder.resolve()),
    )
    with new_folder(folder) as aside:  # a folder that exists can always be opened
        save_encoder(job.encoder, aside / "encoder")
        save_learned(learned, aside / "encoder")
        job.save(aside)
        (aside / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        (aside / "run.json").write_text(info.model_dump_json(indent=1), encoding="utf-8")
        if overwrite and folder.exists():
            shutil.rmtree(folder)
    return Run(folder, recipe, info)


def _own_modules(recipe: Recipe, models: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return {name: module} of the custom entries that a run needs."""
    columns = recipe.schema_.columns.values()
    found = MODELS.own(models) | COLUMNS.own(column.kind for column in columns)
    found |= SEQUENCES.own(c.pooling for c in columns if isinstance(c, ListColumn))
    if recipe.sources is None:
        return found
    from crosstower.retrieval.sources.registry import (  # noqa: PLC0415 - a ranker needs none of it
        SOURCES,
    )

    return found | SOURCES.own(kinds_of(recipe.sources).values())


def _environment() -> dict[str, str]:
    versions = {name: metadata.version(name) for name in LIBRARIES}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "python": platform.python_version(),
        "crosstower": metadata.version("crosstower"),
        **versions,
        "system": platform.platform(),
        "threads": str(torch.get_num_threads()),
        "GPU": gpu,
    }
