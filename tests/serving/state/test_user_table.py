"""Attributes of users, and their erasure from the disk."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosstower.errors import DataError, ServeError
from crosstower.serving.state.events import Event
from crosstower.serving.state.sqlite import SqliteDatabase
from crosstower.serving.state.state import State
from crosstower.serving.state.user_table import attributes_of, unscrubbed

from ...fixtures.postgres import PostgresServer

SECRETS = (b"zarathustra-4711", b"private-note", b"secret-item")


def attributes(state: State, user: Any) -> dict[str, Any] | None:
    with state.database.reading() as connection:
        return attributes_of(connection, user)


def remains(folder: Path) -> list[tuple[str, bytes]]:
    """Return the secrets that any byte of the folder still holds."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [(p.name, secret) for p in files for secret in SECRETS if secret in p.read_bytes()]


def fill(state: State, *, seed: int = 0, batches: int = 30) -> None:
    """Store events of many users in mixed order, so that pages of the file are split."""
    random = np.random.default_rng(seed)
    for batch in range(batches):
        rows = [
            Event(
                event_id=f"{seed}-{batch}-{n}",
                type=str(random.choice(["click", "view"])),
                user="zarathustra-4711" if n % 7 == 0 else f"user-{random.integers(0, 500)}",
                item_id="secret-item" if n % 7 == 0 else int(random.integers(0, 900)),
                attributes={"note": ("private-note" if n % 7 == 0 else "x") * (1 + n % 9)},
            )
            for n in range(100)
        ]
        state.add_events(rows)
        note = "private-note" * (1 + 37 * batch % 900)  # of several pages
        state.put_users({"zarathustra-4711": {"note": note}, f"user-{batch}": {"a": 1}})


def test_attributes_are_replaced_whole(home: str) -> None:
    with State.open(home) as state:
        first = state.put_users({1: {"a": 2**70, "b": [None, "é"]}, "u": {}})
        assert attributes(state, 1) == {"a": 2**70, "b": [None, "é"]}
        assert attributes(state, "u") == {}
        assert attributes(state, 2) is None
        assert state.put_users({1: {"c": 0.5}}) > first
    with State.open(home) as state:
        assert attributes(state, 1) == {"c": 0.5}


def test_values_that_are_no_json_are_refused_whole(home: str) -> None:
    with State.open(home) as state:
        with pytest.raises(DataError, match="users: cannot be stored as JSON: NaN"):
            state.put_users({1: {"a": 1}, 2: {"a": float("nan")}})
        assert attributes(state, 1) is None


def test_damaged_attributes_are_named(home: str) -> None:
    with State.open(home) as state:
        state.put_users({1: {}})
        with state.database.writing() as connection:
            connection.execute("UPDATE users SET attributes = '[1'")
        with pytest.raises(ServeError, match="attributes of a user in the state are damaged"):
            attributes(state, 1)


def test_no_byte_of_an_erased_user_is_left(tmp_path: Path) -> None:
    with State.open(tmp_path) as state, State.open(tmp_path) as other:
        fill(state)  # of this content, zeros alone (secure_delete) leave the id on a split page
        before, events = remains(tmp_path), state.events()
        assert {secret for _, secret in before} == set(SECRETS)
        found = state.erase_users(["zarathustra-4711", "nobody"])
        assert found == (1, 30 * 15)
        assert remains(tmp_path) == []
        assert state.events() == events - found[1]
        assert attributes(other, "user-3") == {"a": 1}
        state.check()
    assert remains(tmp_path) == []


def test_no_row_of_a_table_is_of_an_erased_user(
    postgres: str, postgres_server: PostgresServer
) -> None:
    # In a database of its own: VACUUM keeps rows that other transactions of a database may see.
    with State.open(postgres) as state, State.open(postgres) as other:
        fill(state, batches=8)
        before, events = stored_rows(state, postgres_server), state.events()
        assert all(any(secret in row for row in before) for secret in SECRETS)
        assert len(before) >= events
        found = state.erase_users(["zarathustra-4711", "nobody"])
        assert found == (1, 8 * 15)
        rows = stored_rows(state, postgres_server)
        assert [row for row in rows if any(secret in row for secret in SECRETS)] == []
        assert len(rows) == state.events() == events - found[1]
        assert attributes(other, "user-3") == {"a": 1}


def stored_rows(state: State, server: PostgresServer) -> list[bytes]:
    """Return all row versions in the file of the table of events, dead ones too."""
    server.execute("CHECKPOINT")
    with state.database.reading() as connection:
        name, folder = connection.execute(
            "SELECT pg_relation_filepath('events'), current_setting('data_directory')"
        ).fetchone()
    content, rows = (Path(folder) / name).read_bytes(), list[bytes]()
    for page in (content[start : start + 8192] for start in range(0, len(content), 8192)):
        end = int.from_bytes(page[12:14], "little")  # of the item pointers
        for place in range(24, end, 4):
            pointer = int.from_bytes(page[place : place + 4], "little")
            offset, flags, length = pointer & 0x7FFF, pointer >> 15 & 3, pointer >> 17
            if flags == 1:  # it has a row
                rows.append(page[offset : offset + length])
    return rows


def test_an_id_is_erased_in_each_form(home: str) -> None:
    with State.open(home) as state:
        state.add_events(
            [Event(event_id=str(n), type="c", user=u) for n, u in enumerate((7, "7", "7.0", 8))]
        )
        assert state.erase_users([7]) == (0, 3)
        assert state.events() == 1


KILLED = """
import os, sys
from crosstower.serving.state.sqlite import SqliteDatabase
from crosstower.serving.state.state import State

SqliteDatabase.scrub = lambda self: os._exit(9)
State.open(sys.argv[1]).erase_users(["zarathustra-4711"])
"""


def test_an_erasure_that_was_killed_is_completed_at_the_next_start(tmp_path: Path) -> None:
    with State.open(tmp_path) as state:
        fill(state, batches=8)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == 9
    with State.open(tmp_path) as state:
        assert attributes(state, "zarathustra-4711") is None  # acknowledged or not, it is gone
        state.check()
        assert remains(tmp_path) == []
        with state.database.reading() as connection:
            assert unscrubbed(connection) == 0


def test_a_state_of_an_earlier_version_gets_the_tables(home: str) -> None:
    with State.open(home) as state:
        state.add_events([Event(event_id="a", type="c", user=1, item_id=2)])
        with state.database.writing() as connection:
            for statement in ("TABLE users", "TABLE erasures", "INDEX events_by_user"):
                connection.execute(f"DROP {statement}")
    with State.open(home) as state:
        state.put_users({1: {"a": 1}})
        assert state.erase_users([1]) == (1, 1)


def test_only_an_erasure_rewrites_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scrubbed: list[Path] = []
    monkeypatch.setattr(SqliteDatabase, "scrub", lambda self: scrubbed.append(self.path))
    with State.open(tmp_path) as state:
        fill(state, batches=2)
        state.scrub()
        assert scrubbed == []
        state.erase_users(["user-1"])
        state.scrub()
        assert len(scrubbed) == 1
