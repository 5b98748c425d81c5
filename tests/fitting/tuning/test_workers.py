"""Ends of worker processes; test_tune.py runs them."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crosstower.errors import DataError
from crosstower.fitting.tuning import workers
from crosstower.fitting.tuning.workers import fault_path, run_workers


class Worker:
    """A process that has ended with a code."""

    pid = 4711

    def __init__(self, code: int) -> None:
        self.returncode = code

    def poll(self) -> int:
        return self.returncode


class Notes:
    """A study of which two trials have begun."""

    def __init__(self) -> None:
        self.failed: list[tuple[int, str]] = []

    def fail(self, process: int, error: str) -> None:
        self.failed.append((process, error))

    def counted(self) -> int:
        return 1 + len(self.failed)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *codes: int) -> Notes:
    left = list(codes)
    monkeypatch.setattr(workers, "_start", lambda *_given, **_named: Worker(left.pop(0)))
    monkeypatch.setattr(workers, "_POLL", 0.0)
    notes: Any = Notes()
    run_workers(folder, notes, limit=3, jobs=1, quiet=True)
    assert left == []
    return notes


def test_a_process_that_ends_unexpectedly_fails_its_trial_and_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = run(tmp_path, monkeypatch, -9, 1)
    assert notes.failed == [
        (4711, "its process was ended by SIGKILL, as by the kernel for want of memory"),
        (4711, "its process ended with exit code 1"),
    ]


def test_wrong_rows_end_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault_path(tmp_path, 4711).write_text("column 'age': missing")
    with pytest.raises(DataError, match="column 'age': missing"):
        run(tmp_path, monkeypatch, DataError.exit_code)
    assert not fault_path(tmp_path, 4711).exists()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 0.9])  # loading takes more than one
def test_ctrl_c_while_a_process_loads_ends_it_without_a_word(
    tmp_path: Path, seconds: float
) -> None:
    command = [sys.executable, "-m", "crosstower.fitting.tuning.worker", str(tmp_path), "1", "1"]
    worker = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    caught = 1 << (signal.SIGINT - 1)
    while not int(_status(worker.pid, "SigCgt"), 16) & caught:
        time.sleep(0.01)  # until Python has begun
    time.sleep(seconds)
    worker.send_signal(signal.SIGINT)
    assert worker.communicate(timeout=60)[1] == b""
    assert worker.returncode == 128 + signal.SIGINT


def _status(process: int, key: str) -> str:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(key))


STUBBORN = """
import signal, sys, time
def interrupted(*_):
    sys.exit(3) if told else told.append(1)
told = []
signal.signal(signal.SIGINT, interrupted)
print("ready", flush=True)
time.sleep(60)
time.sleep(60)
"""


@pytest.mark.parametrize(("patience", "code"), [((0.5, 30.0), 3), ((0.5,), -signal.SIGKILL)])
def test_a_process_that_does_not_stop_is_told_again_and_then_ended(
    patience: tuple[float, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_PATIENCE", patience)
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        workers._stop([worker])
        assert worker.returncode == code
