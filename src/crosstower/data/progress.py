"""Progress of long work: one callback for everything that takes more than a moment."""

from __future__ import annotations

from typing import Protocol

from rich.status import Status


class OnProgress(Protocol):
    """A callback that long work calls after each chunk, file, trial or stage."""

    def __call__(self, stage: str, done: int | None = None, total: int | None = None, /) -> None:
        """Show the progress.

        Args:
            stage: what is being done, such as "encoding rows".
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
