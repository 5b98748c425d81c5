"""One server for one state folder: its command and its workers share a lock."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from crosstower.errors import ServeError

_FILE = "server.lock"
_PAUSE = 0.05


@contextmanager
def only_server(folder: Path, *, seconds: float = 5.0) -> Generator[None]:
    """Refuse the folder where another server uses it, and keep others from it until the end.

    Args:
        folder: of the state; made where it is missing.
        seconds: to wait for the workers of a server that was just killed.

    Raises:
        ServeError: another server, or a worker that it has left behind, uses the folder.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _FILE).open("ab") as file:
            until = time.monotonic() + seconds
            while not _taken(file):
                if time.monotonic() > until:
                    raise ServeError(
                        f"{folder}: another server uses this state folder; stop it, or give this"
                        " one another --state"
                    )
                time.sleep(_PAUSE)
            fcntl.flock(file, fcntl.LOCK_SH)  # its workers take the same
            yield
    except OSError as error:
        raise ServeError(f"{folder}: cannot be locked: {error.strerror or error}") from error


class WorkerLock:
    """A worker's share of the lock: a new server waits for those that outlive their command."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / _FILE).open("ab")
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


def _taken(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
