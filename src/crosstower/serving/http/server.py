"""Start the worker processes."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from crosstower.errors import BundleError
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.http.arm_bundles import check_arms
from crosstower.serving.http.log_format import logging_configuration
from crosstower.serving.http.metrics_folder import VARIABLE, fresh_metrics_folder
from crosstower.serving.http.protocol import BoundedProtocol
from crosstower.serving.http.settings import Settings, check_open, tokens_of
from crosstower.serving.http.start_fault import forget_fault, leave_out_process_numbers, raise_fault
from crosstower.serving.http.tracing import check_tracing
from crosstower.serving.state.address import StateAddress
from crosstower.serving.state.folder_lock import only_server
from crosstower.serving.state.state import State

_SECONDS_TO_FINISH = 20
_SECONDS_TO_REPLY = 20  # a worker that imports and opens a bundle on a busy machine is silent
_BACKLOG = 512  # connections that the system holds until a worker takes them


def temporary_folder(state: StateAddress) -> Path | None:
    """Return a new folder for the files of one server if its state is none; `prepared` removes it.

    Args:
        state: address of the state.

    """
    return None if isinstance(state, Path) else Path(tempfile.mkdtemp(prefix="crosstower-"))


@contextmanager
def prepared(settings: Settings) -> Generator[Bundle]:
    """Check all preconditions before a worker starts, and yield the bundle that is served.

    It is the version that was live last in place of the bundle of the settings, if there is any.
    No other server can use a state folder until the end.

    Raises:
        BundleError: there is no bundle, or it is damaged.
        ServeError: the bundle of an arm is missing or damaged, the state is damaged or another
            server uses it, or the server would be open to other machines.

    """
    with _temporary(settings.temporary), _prepared(settings) as bundle:
        yield bundle


@contextmanager
def _temporary(folder: Path | None) -> Generator[None]:
    """Remove a folder at the end, also after a SIGTERM, which uvicorn raises when it stops."""
    if folder is None:
        yield
        return

    def remove(*_: object) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, remove)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _prepared(settings: Settings) -> Generator[Bundle]:
    check_open(settings, tokens_of(os.environ))
    if settings.tracing:
        check_tracing()
    bundle = Bundle.open(settings.bundle)
    check_arms(settings.experiments)
    with only_server(settings.folder):
        forget_fault(settings.folder)
        with State.open(settings.state) as state:
            state.check()
            state.compact()
            bundle = _chosen(state, bundle)
        if settings.workers > 1:
            os.environ[VARIABLE] = str(fresh_metrics_folder(settings.folder))
        else:
            os.environ.pop(VARIABLE, None)
        yield bundle


def _chosen(state: State, base: Bundle) -> Bundle:
    """Return the version that was live last in place of a bundle, and let the workers serve it.

    With several servers, that is the version that the others serve.
    """
    line, bundle = state.versions.last_choice(base.version), base
    if line is not None and line.live != 0:
        try:
            bundle = Bundle.open(line.path)
        except BundleError as error:
            raise BundleError(
                f"version {line.live}, which was live, cannot be served: {error}; put it back, or"
                f" return to an earlier version: crosstower rollback {base.place} --state"
                f" {state.place}"
            ) from error
    if state.database.shared:
        path = state.versions.join(base.version, bundle.path)
        return bundle if path == bundle.path else Bundle.open(path)
    chosen = state.bundle()
    if chosen is None or chosen[1] != bundle.path:
        state.set_bundle(bundle.path)
    return bundle


def serve(settings: Settings) -> None:
    """Serve until a signal comes; running requests are finished.

    Call it within `prepared`.

    Raises:
        ServeError: a worker could not start.

    """
    settings.to_environment()
    leave_out_process_numbers()
    try:
        _run(settings)
    finally:
        raise_fault(settings.folder)


def _run(settings: Settings) -> None:
    uvicorn.run(
        "crosstower.serving.http.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_level="warning",
        log_config=logging_configuration(settings.log_format) or LOGGING_CONFIG,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        http=BoundedProtocol,
        ws="none",
        proxy_headers=False,  # the client's address is not used
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
        timeout_worker_healthcheck=_SECONDS_TO_REPLY,
    )
