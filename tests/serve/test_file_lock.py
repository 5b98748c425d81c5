import threading
from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serve.file_lock import FileLock


def test_a_writer_waits_for_another_process_and_gives_up(tmp_path: Path) -> None:
    ours, theirs = (FileLock(tmp_path / "x.lock", seconds=0.05) for _ in range(2))
    with theirs.held(), pytest.raises(ServeError, match=r"x\.lock: another process has held it"):
        with ours.held():
            pass
    with ours.held():
        pass
    waits = FileLock(tmp_path / "x.lock", seconds=60)
    release = threading.Event()

    def hold() -> None:
        with theirs.held():
            held.set()
            release.wait()

    held = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    threading.Timer(0.05, release.set).start()
    with waits.held():
        assert release.is_set()
    thread.join()
    for lock in (ours, theirs, waits):
        lock.close()
