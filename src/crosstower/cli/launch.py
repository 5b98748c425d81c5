"""Run a command in several processes of this machine, by torch's elastic agent."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from crosstower.errors import TrainingError, notify
from crosstower.fitting.distributed_checks import check_packages
from crosstower.fitting.worker import LAUNCHED, RESTART, fault_in, raised_again

_HANDLED = ("SIGTERM", "SIGHUP", "SIGQUIT")


def launch(arguments: Sequence[str], *, processes: int, max_restarts: int) -> None:
    """Run `crosstower ARGUMENTS` in several processes; only the first one prints.

    The processes are those that `torchrun --nproc-per-node N -m crosstower ARGUMENTS` starts, with
    one message for all of them at the end. After the end of a process by a signal or by an unknown
    error all are started again; errors that are raised on purpose would come again.

    Args:
        arguments: of the command.
        processes: their number.
        max_restarts: number of times to start the processes again.

    Raises:
        RecipeError: a package that several processes need is missing.
        CrosstowerError: of the process that failed first, of the same class.
        SystemExit: a process ended without its own error.

    """
    check_packages(processes)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if processes > (cores or processes):
        notify([f"--processes: more processes ({processes}) than cores ({cores}) are slower"])
    threads = str(max((cores or processes) // processes, 1))
    with tempfile.TemporaryDirectory(prefix="crosstower-") as folder:
        plain = {LAUNCHED: folder, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)}
        for restart in range(max_restarts + 1):
            with _environment({**plain, RESTART: str(restart)}), _signals(Path(folder)):
                failures = _attempt(arguments, processes, folder)
            if not failures:
                return
            if restart == max_restarts or not _may_restart(failures):
                raise _error_of(failures)
            words = f"restart {restart + 1} of {max_restarts}, from the last checkpoint"
            sys.stderr.write(f"crosstower: {_error_of(failures)}; {words}\n")


def _attempt(arguments: Sequence[str], processes: int, folder: str) -> Mapping[int, ProcessFailure]:
    """Run the processes to their end; return the failures by rank."""
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(folder, redirects=dict.fromkeys(range(1, processes), Std.ALL)),
        signals_to_handle=",".join(_HANDLED),
    )
    logging.disable(logging.ERROR)  # the agent logs what the message at the end says
    try:
        elastic_launch(config, sys.executable)("-m", "crosstower", *arguments)
    except ChildFailedError as error:
        return error.failures
    except SignalException as stop:
        raise SystemExit(128 + stop.sigval) from stop
    finally:
        logging.disable(logging.NOTSET)
    return {}


def _may_restart(failures: Mapping[int, ProcessFailure]) -> bool:
    found = [fault_in(failure.error_file_data) for failure in failures.values()]
    final = any(fault is not None and fault.is_final for fault in found)
    # An exit code without an error is of a wrong option, or of a second Ctrl-C.
    named = any(f is None and x.exitcode > 0 for f, x in zip(found, failures.values(), strict=True))
    return not final and not named


def _error_of(failures: Mapping[int, ProcessFailure]) -> BaseException:
    """Return the error of the process that failed first; show the trace of an unknown one."""
    # Takes as long as torch itself, and has the errors of training that are raised again.
    from crosstower.training.trainer import TrainingInterruptedError

    rank, failure = min(failures.items(), key=lambda item: _order(item[1]))
    fault, first = fault_in(failure.error_file_data), failures.get(0)
    if fault is None:
        if failure.exitcode == 128 + signal.SIGINT:
            return TrainingInterruptedError("stopped by Ctrl-C")
        if failure.exitcode > 0:
            return SystemExit(failure.exitcode)
        return TrainingError(
            f"rank {rank} was ended by {failure.signal_name()}; run the command again, with"
            " --resume RUN if the folder of the run exists, or let the processes start again by"
            " themselves with --max-restarts N"
        )
    if fault.trace:
        sys.stderr.write(f"rank {rank}:\n{fault.trace}")
        return TrainingError(f"rank {rank} failed: {fault.kind}: {fault.words}")
    error = raised_again(fault)
    shared = first is not None and fault_in(first.error_file_data)
    if rank == 0 or (shared and shared.words == fault.words) or fault.is_lost:
        return error
    return type(error)(f"rank {rank}: {fault.words}")


def _order(failure: ProcessFailure) -> tuple[int, float]:
    fault = fault_in(failure.error_file_data)
    if fault is not None:
        return (4 if fault.is_lost else 2 if fault.trace else 0), fault.time
    if failure.exitcode == -signal.SIGTERM:  # ended by the agent, as another one had failed
        return 5, 0.0
    return (1 if failure.exitcode < 0 else 3), float(failure.timestamp)


@contextmanager
def _environment(added: Mapping[str, str]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _signals(folder: Path) -> Generator[None]:
    """Forward Ctrl-C to the processes, which stop after a step; the third one ends them at once."""
    given = 0

    def pass_on(_number: int, _frame: Any) -> None:
        nonlocal given
        given += 1
        ids = [int(path.read_text()) for path in folder.iterdir() if path.name.isdigit()]
        if not ids:
            raise KeyboardInterrupt
        for pid in ids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT if given < 3 else signal.SIGKILL)

    names = (signal.SIGINT, *(signal.Signals[name] for name in _HANDLED))
    before = {number: signal.getsignal(number) for number in names}
    signal.signal(signal.SIGINT, pass_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for path in folder.iterdir():
            if path.name.isdigit():
                path.unlink()
