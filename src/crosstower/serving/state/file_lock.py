"""One writer at a time among the processes of a machine."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from crosstower.errors import ServeError

_PAUSE = 0.001  # far below the time of one write to the disk


class FileLock:
    """An exclusive lock of a file; a killed process lets go of it.

    Args:
        path: of the file, which is made; it stays empty.
        seconds: how long to wait for another process.

    Raises:
        OSError: the file cannot be made.

    """

    def __init__(self, path: Path, *, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self._file = path.open("ab")

    @contextmanager
    def held(self) -> Generator[None]:
        """Hold the lock. One thread at a time: threads share it.

        Raises:
            ServeError: another process has held it for too long.

        """
        until = time.monotonic() + self._seconds
        while not self._taken():
            if time.monotonic() > until:
                raise ServeError(
                    f"{self._path}: another process has held it for {self._seconds:g} seconds;"
                    " nothing was written; look whether one is stopped"
                )
            time.sleep(_PAUSE)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
