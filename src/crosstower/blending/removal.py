"""Remove a saved blend from a run."""

from __future__ import annotations

from pathlib import Path

from crosstower.blending.held_out import check_ranks
from crosstower.errors import RunError
from crosstower.storage.folders import publish_changes
from crosstower.training.run import BLEND, BLENDED, Run

PAGE, ROWS, FUNNEL = "blend.html", "blended.parquet", "funnel.json"


def remove_blend(run: Run | str | Path) -> Run:
    """Remove a run's blend with its metrics and page; predictions stay.

    `crosstower fit --resume RUN` restores a blend of the recipe.

    >>> import crosstower as ct
    >>> _ = ct.blend_run("runs/clicks", ct.Blend(weights={"click": 1}), user="user")
    >>> ct.remove_blend("runs/clicks")
    Run('runs/clicks': wide_deep, 1 seed, 360 rows)

    Args:
        run: a ranking run, or its folder.

    Returns:
        The run.

    Raises:
        RunError: the run is a retrieval run, or has no blend.

    """
    run = Run.of(run)
    check_ranks(run)
    seeds = [run.model_folder(m, s) / BLEND for m in run.info.models for s in run.info.seeds]
    if not any(path.is_file() for path in seeds):
        raise RunError(f"{run.folder}: has no blend; create one with: crosstower blend RUN")
    for path in [*seeds, *(run.folder / name for name in (BLENDED, PAGE, ROWS, FUNNEL))]:
        path.unlink(missing_ok=True)
    publish_changes(run.folder, error=RunError)
    return run
