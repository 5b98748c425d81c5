import os
import signal
import subprocess
import sys
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


HOLDS_THE_FOLDER = """
import sys, time
from pathlib import Path
from crosstower.serving.state.folder_lock import WorkerLock, only_server

with only_server(Path(sys.argv[1])):
    worker = WorkerLock(Path(sys.argv[1]))
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_server_leaves_the_folder_to_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    command = [sys.executable, "-c", HOLDS_THE_FOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        another = pytest.raises(ServeError, match="another server uses this state folder")
        with another, only_server(folder, seconds=0.1):
            raise AssertionError
        process.kill()
    with only_server(folder):
        pass


LEAVES_A_FORK = """
import os, sys, time
from pathlib import Path
from crosstower.serving.state.folder_lock import only_server

with only_server(Path(sys.argv[1])):
    if child := os.fork():
        print(child, flush=True)
        os._exit(0)
    os.close(1)
    time.sleep(60)
"""


def test_a_fork_of_a_server_does_not_keep_the_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEAVES_A_FORK, str(tmp_path / "state")]
    child = int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    try:
        with only_server(tmp_path / "state", seconds=0.1):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_an_error_of_the_server_is_its_own_and_frees_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with pytest.raises(OSError, match="port in use"), only_server(folder):
        raise OSError("port in use")
    with only_server(folder):
        pass


def test_a_server_waits_for_workers_that_are_ending(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with only_server(folder):
        worker = WorkerLock(folder)
    ending = threading.Timer(0.2, worker.close)
    ending.start()
    with only_server(folder, seconds=20):
        ending.join()
