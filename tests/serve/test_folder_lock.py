from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serve.folder_lock import WorkerLock, only_server


def test_a_second_server_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with only_server(folder):
        words = "another server uses this state folder"
        with pytest.raises(ServeError, match=words), only_server(folder):
            raise AssertionError
        WorkerLock(folder).close()  # a worker of the first one
    with only_server(folder):
        pass


def test_a_worker_that_outlives_its_command_keeps_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with only_server(folder):
        worker = WorkerLock(folder)
    with pytest.raises(ServeError, match="another server"), only_server(folder):
        raise AssertionError
    worker.close()
    with only_server(folder):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServeError, match="cannot be locked"), only_server(tmp_path / "file" / "x"):
        raise AssertionError
