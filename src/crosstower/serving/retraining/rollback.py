"""Serve an earlier version of a bundle again."""

from __future__ import annotations

from pathlib import Path

from crosstower.errors import ServeError
from crosstower.serving.http.opening import opened
from crosstower.serving.retraining.history import History
from crosstower.serving.state.state import State
from crosstower.serving.state.version_log import Entry


def roll_back(state: State, base: str | Path, *, to: int | None = None) -> Entry:
    """Serve an earlier version again; a running retraining is not waited for.

    Args:
        state: of the server.
        base: the bundle of the command line.
        to: number of a version, 0 for the bundle of the command line; the version that was live
            before if None.

    Returns:
        The line of the journal.

    Raises:
        ServeError: there is no such version, it has been removed, or it is live already.
        BundleError: its bundle is damaged.

    """
    history = History.of(state, base)
    history.check_base()
    target = history.before() if to is None else history.numbered(to)
    if target.bundle == history.live.bundle:
        raise ServeError(f"{target} is live already; choose another with --to")
    opened(target.bundle)
    return state.versions.add(
        "rolled_back",
        target.number or 0,
        target.bundle,
        base=history.base_version,
        detail={"reasons": [f"rolled back from {history.live}"]},
    )
