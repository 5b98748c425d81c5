"""Progress of a batch job: rows done, rate and remaining time, on standard error."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from crosstower.data.progress import OnProgress, RateColumn


@contextmanager
def job_progress(unit: str, *, console: Console | None = None) -> Generator[OnProgress]:
    """Show a bar until the block ends; give the callback that moves it.

    Args:
        unit: name of the rows.
        console: to show it on; standard error if None.

    """
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
    ]
    shown = console or Console(stderr=True)
    hidden = not shown.is_interactive
    with Progress(*columns, console=shown, transient=True, disable=hidden) as progress:
        task = None

        def show(_stage: str, done: int | None = None, total: int | None = None, /) -> None:
            nonlocal task
            if task is None:  # rows of an earlier call do not count for the rate
                task = progress.add_task(unit, total=total, completed=done or 0)
            progress.update(task, completed=done or 0, total=total)

        yield show
