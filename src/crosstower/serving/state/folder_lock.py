"""One server per state folder."""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from crosstower.errors import ServeError

_COMMAND, _WORKERS = "server.lock", "workers.lock"


@contextmanager
def only_server(folder: Path, *, seconds: float = 5.0) -> Generator[None]:
    """Reject a folder that another server uses, and keep others from it until the end.

    The command holds one lock file. Its workers share a second one, as they may outlive a command
    that was killed. The system releases the locks of a killed process.

    Args:
        folder: of the state; created if it is missing.
        seconds: to wait for the command and the workers of a server that was just killed.

    Raises:
        ServeError: another server, or a worker that it left behind, uses the folder.

    """
    command = FileLock(folder / _COMMAND, timeout=seconds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        command.acquire()
        with FileLock(folder / _WORKERS, timeout=seconds):
            pass
    except Timeout as error:
        command.release()
        raise ServeError(
            f"{folder}: another server uses this state folder; stop it, or give this server"
            " another folder with --state"
        ) from error
    except OSError as error:
        command.release()
        raise ServeError(f"{folder}: cannot be locked: {error.strerror or error}") from error
    try:
        yield
    finally:
        command.release()


class WorkerLock:
    """A worker's share of the workers' lock; `filelock` uses `flock` too, but has no shared mode.

    Args:
        folder: of the state.

    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / _WORKERS).open("ab")
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def close(self) -> None:
        """Release it."""
        self._file.close()
