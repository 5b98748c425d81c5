"""Steps of a fit that one process takes for all: reading the rows, and beginning a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from crosstower.data.encoders.learned import Learned
from crosstower.fitting.prepared import prepared_for, store_prepared
from crosstower.nn.world import World
from crosstower.recipe.recipe import Recipe
from crosstower.training.job import Job
from crosstower.training.run import Run


def read_once(
    read: Callable[[], None],
    job: Job,
    recipe: Recipe,
    *,
    learned: Callable[[], Learned],
    folder: Path,
    world: World,
) -> None:
    """Read and encode the rows of a job; of several processes one does, and all take its files.

    Args:
        read: reads the rows of the job.
        job: of the recipe.
        recipe: all paths absolute.
        learned: state from which a warm start continues, once the rows are read.
        folder: of the files, which every process reads.
        world: of the training.

    """
    if world.size == 1:
        read()
        return

    def store() -> None:
        read()
        shutil.rmtree(folder, ignore_errors=True)  # of a fit that was killed
        folder.mkdir(parents=True)
        store_prepared(folder, recipe, job, learned())

    world.first(store)
    job.load(prepared_for(folder, recipe))


def begin_once(begin: Callable[[], Run], folder: Path, world: World) -> Run:
    """Return the run that the process of rank 0 begins; the others open its folder.

    Args:
        begin: writes the folder of the run.
        folder: of the run.
        world: of the training.

    """
    runs: list[Run] = []
    world.first(lambda: runs.append(begin()))
    return runs[0] if runs else Run.open(folder)
