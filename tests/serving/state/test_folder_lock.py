import threading
from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serving.state.folder_lock import WorkerLock, only_server


def test_a_second_server_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with only_server(folder):
        words = "another server uses this state folder"
        with pytest.raises(ServeError, match=words), only_server(folder, seconds=0.1):
            raise AssertionError
        WorkerLock(folder).close()  # a worker of the first one
    with only_server(folder):
        pass


def test_a_worker_that_outlives_its_command_keeps_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with only_server(folder):
        worker = WorkerLock(folder)
    another = pytest.raises(ServeError, match="another server")
    with another, only_server(folder, seconds=0.1):
        raise AssertionError
    worker.close()
    with only_server(folder):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServeError, match="cannot be locked"), only_server(tmp_path / "file" / "x"):
        raise AssertionError


def test_a_server_waits_for_workers_that_are_ending(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with only_server(folder):
        worker = WorkerLock(folder)
    ending = threading.Timer(0.2, worker.close)
    ending.start()
    with only_server(folder, seconds=20):
        ending.join()
