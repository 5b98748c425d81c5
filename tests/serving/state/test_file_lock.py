import threading
from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serving.state.file_lock import FileLock


def take(lock: FileLock) -> None:
    with lock.held():
        pass


def test_a_writer_gives_up_on_another_that_does_not_let_go(tmp_path: Path) -> None:
    ours, theirs = (FileLock(tmp_path / "x.lock", seconds=0.05) for _ in range(2))
    with theirs.held(), pytest.raises(ServeError, match=r"x\.lock: another process has held it"):
        take(ours)
    take(ours)
    ours.close()
    theirs.close()


def test_a_writer_waits_for_another(tmp_path: Path) -> None:
    ours, theirs = (FileLock(tmp_path / "x.lock", seconds=60) for _ in range(2))
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with theirs.held():
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    timer = threading.Timer(0.05, release.set)
    timer.start()
    with ours.held():
        assert release.is_set()
    for running in (thread, timer):
        running.join()
    ours.close()
    theirs.close()


def test_an_error_lets_go(tmp_path: Path) -> None:
    ours, theirs = (FileLock(tmp_path / "x.lock", seconds=0.05) for _ in range(2))

    def fail() -> None:
        with ours.held():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    take(theirs)
    ours.close()
    theirs.close()
