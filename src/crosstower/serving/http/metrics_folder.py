"""The folder in which worker processes share their metrics; no metrics library needed."""

from __future__ import annotations

from pathlib import Path

from crosstower.errors import ServeError

NAME = "metrics"
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def fresh_metrics_folder(state: Path) -> Path:
    """Return the folder in a server's state, emptied of files from an earlier start.

    Call it once per start, before any worker, and set the environment variable `VARIABLE` to it
    before `crosstower.serving.http.metrics` is first imported: the library looks only then.

    Raises:
        ServeError: the folder cannot be created or emptied.

    """
    folder = state / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.db"):
            old.unlink(missing_ok=True)
    except OSError as error:
        raise ServeError(f"{folder}: cannot be emptied: {error.strerror or error}") from error
    return folder
