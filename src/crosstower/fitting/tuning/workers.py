"""Trials in several processes of this machine, which share a study."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from crosstower.errors import DataError
from crosstower.fitting.tuning.study import Study
from crosstower.training.trainer import TrainingInterruptedError

_POLL = 0.2
_WRONG_ROWS = DataError.exit_code
_STOPPED = TrainingInterruptedError.exit_code
_PATIENCE = 20.0, 40.0  # seconds for a process to stop after a first and a second Ctrl-C


def run_workers(folder: Path, study: Study, *, limit: int, jobs: int, quiet: bool) -> None:
    """Run trials in several processes until there are `limit`.

    A process that ends unexpectedly, such as by the kernel for want of memory, fails its trial, and
    another one takes its place.

    Args:
        folder: of the tuning.
        study: of the folder.
        limit: of trials.
        jobs: number of processes.
        quiet: print nothing.

    Raises:
        DataError: the rows are wrong.
        TrainingInterruptedError: Ctrl-C; tuning can be continued.

    """
    running = [_start(folder, limit, jobs, quiet=quiet) for _ in range(jobs)]
    try:
        while running:
            time.sleep(_POLL)
            for worker in [w for w in running if w.poll() is not None]:
                running.remove(worker)
                if worker.returncode == _WRONG_ROWS:
                    raise DataError(_words(folder, worker.pid))
                if worker.returncode == _STOPPED:
                    raise TrainingInterruptedError("a process of the tuning was stopped")
                if worker.returncode != 0:
                    study.fail(worker.pid, _end_of(worker.returncode))
                    if study.counted() < limit:
                        running.append(_start(folder, limit, jobs, quiet=quiet))
    except KeyboardInterrupt:
        raise TrainingInterruptedError("stopped by Ctrl-C") from None
    finally:
        _stop(running)


def fault_path(folder: Path, process: int) -> Path:
    """Return where a process leaves the message of an error that concerns all trials."""
    return folder / f"worker-{process}.error"


def _words(folder: Path, process: int) -> str:
    path = fault_path(folder, process)
    words = path.read_text(encoding="utf-8")
    path.unlink()
    return words


def _start(folder: Path, limit: int, jobs: int, *, quiet: bool) -> subprocess.Popen[bytes]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", str(max((cores or jobs) // jobs, 1)))
    command = [sys.executable, "-m", "crosstower.fitting.tuning.worker", str(folder), str(limit)]
    return subprocess.Popen(  # noqa: S603 - this package, with a path and a number
        [*command, str(os.getpid())],
        env={**os.environ, "OMP_NUM_THREADS": threads},
        stdout=subprocess.DEVNULL if quiet else None,
        start_new_session=True,  # Ctrl-C comes from here, once
    )


def _end_of(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = ", as by the kernel for want of memory" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"


def _stop(running: list[subprocess.Popen[bytes]]) -> None:
    """Interrupt processes, which finish their step; then interrupt again, then kill the others."""
    for patience in _PATIENCE:
        for worker in running:
            if worker.poll() is None:
                worker.send_signal(signal.SIGINT)
        until = time.monotonic() + patience
        for worker in running:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(timeout=max(until - time.monotonic(), 0.1))
    for worker in running:
        worker.kill()
        worker.wait()
