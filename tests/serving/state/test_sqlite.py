import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstower.errors import CrosstowerError, ServeError
from crosstower.serving.state import sqlite as module
from crosstower.serving.state.opening import FILE
from crosstower.serving.state.sqlite import SqliteDatabase
from crosstower.serving.state.state import State

from .stored import event_ids, events, table

LIMITED = """
import resource, signal, sys
from crosstower.errors import ServeError
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
state = State.open(sys.argv[1])
state.put_items([{"id": 0}], item="id")
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
for write in (
    lambda: state.put_items([{"id": n, "x": "x" * 1000} for n in range(1000)], item="id"),
    lambda: state.add_events([Event(event_id=str(n), type="x" * 60) for n in range(9000)]),
):
    try:
        write()
    except ServeError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
stored = state.add_events([Event(event_id="1", type="c")])
print(state.put_items([{"id": 1}], item="id"), stored[:2])
state.check()
state.close()
"""


def test_a_disk_that_does_not_take_more_leaves_nothing_half_stored(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *refused, after = done.stdout.splitlines()
    assert [line.split(": ", 1)[1].split(";")[0] for line in refused] == [
        "cannot be read or written: disk I/O error"
    ] * 2
    assert after == "2 (1, 0)"
    with State.open(tmp_path) as state:
        assert set(table(state)) == {0, 1}
        assert event_ids(state) == {"1"}


def test_a_full_disk_is_said_and_nothing_is_half_stored(tmp_path: Path) -> None:
    with State.open(tmp_path) as state:
        state.put_items([{"id": 0}], item="id")
        with state.database.writing() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(ServeError, match=r"state\.sqlite: the disk is full; nothing of this"):
            state.put_items([{"id": n, "x": "x" * 3000} for n in range(9)], item="id")
        with pytest.raises(ServeError, match="the disk is full"):
            state.add_events(events(*map(str, range(900))))
        assert set(table(state)) == {0}
        assert event_ids(state) == set()
        with state.database.writing() as connection:
            connection.execute("PRAGMA max_page_count = 1000000")
        assert state.put_items([{"id": 1}], item="id") == 2


def test_an_error_in_a_transaction_leaves_nothing(tmp_path: Path) -> None:
    with State.open(tmp_path) as state:

        def fail() -> None:
            with state.database.writing() as connection:
                connection.execute("INSERT INTO item_changes (id) VALUES ('1')")
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert state.last_sequence() == 0
        assert state.put_items([{"id": 1}], item="id") == 1


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ServeError, match=r"state\.sqlite: is damaged: .*restore a copy") as error:
        State.open(tmp_path)
    assert isinstance(error.value, CrosstowerError)
    assert error.value.exit_code == 5
    assert (tmp_path / FILE).read_bytes() == content


def test_a_cut_or_overwritten_file_is_refused(tmp_path: Path) -> None:
    with State.open(tmp_path) as state:
        state.put_items([{"id": n, "x": "x" * 500} for n in range(2_000)], item="id")
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ServeError, match="is damaged"):
        State.open(tmp_path)
    middle = len(whole) // 2
    (tmp_path / FILE).write_bytes(whole[:middle] + b"\xa5" * 40_000 + whole[middle + 40_000 :])
    with State.open(tmp_path) as state:
        with pytest.raises(ServeError, match="is damaged"):
            state.check()
        with pytest.raises(ServeError, match="is damaged"):
            list(state.changes_after(0))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE meta SET format = 2", "has format 2, this version of Crosstower reads 1; use"),
        ("DELETE FROM meta", "is damaged: its format is missing"),
        ("UPDATE meta SET format = 'x'", "is damaged: its format is missing"),
        ("DROP TABLE meta", "is not the state of a server; choose another folder"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, statement: str, words: str) -> None:
    with State.open(tmp_path) as state, state.database.writing() as connection:
        connection.execute(statement)
    with pytest.raises(ServeError, match=words):
        State.open(tmp_path)


def test_a_forked_process_has_to_open_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with State.open(tmp_path) as state:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1)
            for call in (state.last_sequence, state.compact):
                with pytest.raises(ServeError, match="open it in each process for itself"):
                    call()
        assert state.compact() == 0


HOLDS_THE_LOCK = """
import sys, time
from pathlib import Path
from crosstower.serving.state.sqlite import SqliteDatabase

with SqliteDatabase(Path(sys.argv[1]), []) as database, database.writing():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process in the middle of a write to x.sqlite."""
    command = [sys.executable, "-c", HOLDS_THE_LOCK, str(tmp_path / "x.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def insert(database: SqliteDatabase) -> None:
    with database.writing() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (n)")


def test_a_writer_gives_up_on_another_process_that_does_not_let_go(
    holder: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT", 0.05)
    words = r"x\.lock: another process has held it for 0\.05 seconds; nothing was written"
    with pytest.raises(ServeError, match=words):
        SqliteDatabase(tmp_path / "x.sqlite", [])
    assert holder.poll() is None


def test_a_writer_gets_the_turn_of_a_killed_process(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    threading.Timer(0.1, holder.kill).start()
    with SqliteDatabase(tmp_path / "x.sqlite", []) as database:
        assert holder.wait() == -signal.SIGKILL
        insert(database)


def test_a_failed_write_lets_others_write(tmp_path: Path) -> None:
    with (
        SqliteDatabase(tmp_path / "x.sqlite", []) as ours,
        SqliteDatabase(tmp_path / "x.sqlite", []) as theirs,
    ):
        with pytest.raises(ServeError, match="no such table"), ours.writing() as connection:
            connection.execute("INSERT INTO absent VALUES (1)")
        insert(theirs)


def test_the_file_keeps_what_it_has_acknowledged_at_once(tmp_path: Path) -> None:
    with SqliteDatabase(tmp_path / "x.sqlite", ["CREATE TABLE t (n)"]) as database:
        with database.writing() as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
            connection.execute("INSERT INTO t VALUES (1)")
        copy = tmp_path / "copy.sqlite"
        for end in ("", "-wal"):  # what a killed process leaves
            source = tmp_path / f"x.sqlite{end}"
            subprocess.run(["cp", source, f"{copy}{end}"], check=True)  # not opened in this process
    opened = sqlite3.connect(copy)
    assert opened.execute("SELECT n FROM t").fetchall() == [(1,)]
    opened.close()
