"""The reason why a worker could not start, passed to the command that started it.

A worker may be a separate process; the command sees only its exit code.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from crosstower.errors import CrosstowerError, ServeError

_FILE = "start.fault"
_SERVER_LOG = "uvicorn.error"


@contextmanager
def starting(folder: Path) -> Generator[None]:
    """Store the reason for the command if a worker fails to start within the block.

    A known reason replaces the traceback in the log.

    Args:
        folder: of the state.

    """
    try:
        yield
    except Exception as error:
        known = isinstance(error, CrosstowerError)
        reason = str(error) if known else f"{type(error).__name__}: {error}; see the log above"
        with contextlib.suppress(OSError):
            (folder / _FILE).write_text(reason, encoding="utf-8", errors="replace")
            logging.getLogger(_SERVER_LOG).disabled = known  # this process ends now
        raise


def forget_fault(folder: Path) -> None:
    """Remove the reason of an earlier start."""
    with contextlib.suppress(OSError):
        (folder / _FILE).unlink()


def raise_fault(folder: Path) -> None:
    """Raise the reason that a worker has stored.

    Raises:
        ServeError: a worker could not start.

    """
    try:
        reason = (folder / _FILE).read_text(encoding="utf-8")
    except OSError:
        return
    forget_fault(folder)
    raise ServeError(f"the server cannot start: {reason}")


def leave_out_process_numbers() -> None:
    """Limit the command's log to the reason: a failed process adds nothing to it."""
    logging.getLogger(_SERVER_LOG).addFilter(
        lambda record: "failed to start" not in str(record.msg)
    )
