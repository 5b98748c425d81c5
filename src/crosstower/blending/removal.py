"""Take a kept blend out of a run."""

from __future__ import annotations

from pathlib import Path

from crosstower.blending.held_out import check_ranks
from crosstower.errors import RunError
from crosstower.training.run import BLEND, BLENDED, Run

PAGE, ROWS, FUNNEL = "blend.html", "blended.parquet", "funnel.json"


def remove_blend(run: Run | str | Path) -> Run:
    """Remove the blend that a run keeps, with its figures and its page; predictions stay.

    A blend of the recipe comes back with `crosstower fit --resume RUN`.

    Args:
        run: a ranking run, or its folder.

    Raises:
        RunError: the run retrieves, or keeps no blend.

    """
    run = Run.of(run)
    check_ranks(run)
    seeds = [run.model_folder(m, s) / BLEND for m in run.info.models for s in run.info.seeds]
    if not any(path.is_file() for path in seeds):
        raise RunError(f"{run.folder}: keeps no blend; make one with: crosstower blend RUN")
    for path in [*seeds, *(run.folder / name for name in (BLENDED, PAGE, ROWS, FUNNEL))]:
        path.unlink(missing_ok=True)
    return run
