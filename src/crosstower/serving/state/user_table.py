"""Attributes of users, and the number of erasures, as rows of tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crosstower.errors import DataError, ServeError
from crosstower.serving.state import event_log
from crosstower.serving.state.database import Connection
from crosstower.serving.state.json_text import json_text
from crosstower.values.ids import Id

_TABLE = (
    "CREATE TABLE IF NOT EXISTS users (sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
    " user TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL)"
)
# A row per erasure, without the user; `scrubbed` once the file holds no remains.
_ERASURES = (
    "CREATE TABLE IF NOT EXISTS erasures (sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
    " scrubbed INTEGER NOT NULL)"
)
TABLES = (_TABLE, _ERASURES)
_PUT = "INSERT INTO users (user, attributes) VALUES (?, ?)"
_DELETE = "DELETE FROM users WHERE user = ?"
_USERS = "SELECT user FROM users WHERE sequence > ? AND sequence <= ?"


def put_entries(users: Mapping[Id, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (user, attributes) as JSON.

    Raises:
        DataError: a value is none that JSON can hold.

    """
    try:
        return [(json_text(user), json_text(dict(row))) for user, row in users.items()]
    except ValueError as error:
        raise DataError(f"users: {error}") from None


def put(connection: Connection, entries: Sequence[tuple[str, str]]) -> None:
    """Store attributes; they replace all earlier ones of these users."""
    connection.executemany(_DELETE, [(user,) for user, _ in entries])  # a new number each time
    connection.executemany(_PUT, entries)


def attributes_of(connection: Connection, user: Id) -> dict[str, Any] | None:
    """Return the attributes of a user, None for one without.

    Raises:
        ServeError: they are damaged.

    """
    text = json_text(user)
    row = connection.execute("SELECT attributes FROM users WHERE user = ?", (text,)).fetchone()
    return None if row is None else _parsed(row[0])


def _parsed(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ServeError(
            "the attributes of a user in the state are damaged; restore a copy of the state folder,"
            " or send the user again"
        )
    return found


def all_attributes(connection: Connection) -> Iterator[tuple[Id, dict[str, Any]]]:
    """Yield each user with attributes, and the attributes.

    Raises:
        ServeError: some are damaged.

    """
    for user, text in connection.execute("SELECT user, attributes FROM users"):
        yield json.loads(user), _parsed(text)


def users_after(connection: Connection, sequence: int, last: int) -> list[Id]:
    """Return the users whose attributes were put after a number, up to another."""
    return [json.loads(row[0]) for row in connection.execute(_USERS, (sequence, last)).fetchall()]


def last_sequence(connection: Connection) -> int:
    """Return the number of the newest attributes, 0 without any."""
    return connection.execute("SELECT coalesce(max(sequence), 0) FROM users").fetchone()[0]


def erase(connection: Connection, users: Sequence[Id]) -> tuple[int, int]:
    """Delete attributes and events of users; return (users with attributes, events)."""
    rows = events = 0
    for user in users:
        found = connection.execute(_DELETE, (json_text(user),))
        rows += found.rowcount
        events += event_log.delete_of_user(connection, user)
    count_deletion(connection, scrubbed=False)
    return rows, events


def count_deletion(connection: Connection, *, scrubbed: bool) -> None:
    """Note that rows were deleted, which readers of earlier rows must hear of."""
    connection.execute("INSERT INTO erasures (scrubbed) VALUES (?)", (int(scrubbed),))
    connection.execute(
        "DELETE FROM erasures WHERE scrubbed = 1"
        " AND sequence < (SELECT max(sequence) FROM erasures)"
    )


def unscrubbed(connection: Connection) -> int:
    """Return the number of the newest erasure that is not scrubbed; 0 without one."""
    found = connection.execute("SELECT max(sequence) FROM erasures WHERE scrubbed = 0").fetchone()
    return found[0] or 0


def mark_scrubbed(connection: Connection, last: int) -> None:
    """Mark erasures up to a sequence number as scrubbed."""
    connection.execute("UPDATE erasures SET scrubbed = 1 WHERE sequence <= ?", (last,))
