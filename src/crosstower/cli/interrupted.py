"""Ctrl-C in a command that trains several runs: none of them stays half trained."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from crosstower.training.trainer import TrainingInterruptedError


@contextmanager
def removed_when_interrupted(*folders: Path) -> Generator[None]:
    """Remove new folders if Ctrl-C stops the work in them, which nothing could resume.

    Args:
        folders: of only this work; they need not exist.

    Raises:
        KeyboardInterrupt: the work was stopped, by Ctrl-C at any place.

    """
    try:
        yield
    except (KeyboardInterrupt, TrainingInterruptedError):
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise KeyboardInterrupt from None
