"""Weights & Biases: one run per model and seed, grouped by run folder, offline by default.

Files are in `wandb/` of the run folder; `wandb sync` uploads them. `WANDB_MODE=online` sends them
during the run. Host, command line, git and code are not recorded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from crosstower.training.trackers.tracker import Subject

_PROJECT = "crosstower"


def open_tracker(subject: Subject) -> WandbRun:
    """Return a new run of a subject.

    A resumed training run has a new run, which starts with the evaluations so far: an offline run
    cannot be continued.
    """
    package: Any = wandb
    run = package.init(
        project=os.environ.get("WANDB_PROJECT", _PROJECT),
        dir=str(subject.folder),
        name=f"{subject.run}/{subject.part}" if subject.part else subject.run,
        group=subject.run,
        job_type="training" if subject.part else "summary",
        config=dict(subject.parameters),
        mode=os.environ.get("WANDB_MODE", "offline"),
        reinit="create_new",
        settings=package.Settings(
            silent=True,
            host="localhost",
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        ),
    )
    return WandbRun(run)


class WandbRun:
    """An open run of Weights & Biases.

    Args:
        run: from `wandb.init`.

    """

    def __init__(self, run: Any) -> None:
        self._run = run

    def last_step(self) -> int:
        """Return -1: each run starts from the beginning."""
        return -1

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics of a step."""
        self._run.log(dict(metrics), step=step)

    def add_files(self, paths: Sequence[Path]) -> None:
        """Keep copies of files with the run."""
        for path in paths:
            copy = shutil.copy(path, self._run.dir)  # it would link to the file, which may change
            self._run.save(copy, base_path=self._run.dir, policy="now")

    def close(self) -> None:
        """End the run."""
        self._run.finish()
