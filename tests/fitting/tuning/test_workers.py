"""Ends of worker processes; test_tune.py runs them."""

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
