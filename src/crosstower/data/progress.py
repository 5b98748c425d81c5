"""Progress of long work: one callback for everything that takes more than a moment."""

from __future__ import annotations

import importlib
import io
from typing import Any, Protocol

from rich.console import Console
from rich.progress import ProgressColumn, Task
from rich.status import Status
from rich.text import Text


class OnProgress(Protocol):
    """A callback that long work calls after each chunk, file, trial or stage."""

    def __call__(self, stage: str, done: int | None = None, total: int | None = None, /) -> None:
        """Show the progress.

        Args:
            stage: of the work, such as "encoding rows".
            done: how much of it is done, in rows or trials; None if not counted.
            total: how much there is in all, in the same unit; None if unknown.

        """
        ...


def no_progress(_stage: str, _done: int | None = None, _total: int | None = None, /) -> None:
    """Show nothing."""


def progress_on(status: Status) -> OnProgress:
    """Return a callback that shows progress as the text of a status line.

    >>> from rich.console import Console
    >>> on_progress = progress_on(Console(quiet=True).status("reading"))
    >>> on_progress("encoding rows", 65_536)
    """

    def show(stage: str, done: int | None = None, total: int | None = None, /) -> None:
        if done is None:
            status.update(stage)
        elif total is None:
            status.update(f"{stage}: {done:,} rows")
        else:
            status.update(f"{stage}: {done:,} of {total:,}")

    return show


class RateColumn(ProgressColumn):
    """Units per second of a progress display, as soon as they are known.

    Args:
        unit: shown behind the number, such as " rows"; nothing by default.

    """

    def __init__(self, unit: str = "") -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Return the rate."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}{self._unit}/s")


class NotebookLine(io.StringIO):
    """A file that shows its newest line in the output of a notebook cell, in place."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: Any = None

    def write(self, text: str, /) -> int:
        """Show the last line of a text instead of the one before."""
        line = text.rstrip().rpartition("\n")[2]
        if line:
            data = {"text/plain": line}
            if self._shown is None:
                display = importlib.import_module("IPython.display").display
                self._shown = display(data, raw=True, display_id=True)
            else:
                self._shown.update(data, raw=True)
        return len(text)


def progress_console(*, quiet: bool = False) -> Console:
    """Return a console for progress: standard error, or one line in place in a notebook.

    >>> progress_console(quiet=True).print("reading")

    Args:
        quiet: show nothing.

    """
    if quiet:  # even without a text, a console of a notebook would show an empty area
        return Console(stderr=True, quiet=True, force_jupyter=False)
    console = Console(stderr=True)
    if not console.is_jupyter:
        return console
    return Console(file=NotebookLine(), force_jupyter=False, force_terminal=False)
