"""Events in order of arrival, as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from crosstower.serving.state.database import Connection, Database
from crosstower.serving.state.events import Event
from crosstower.serving.state.json_text import json_text
from crosstower.values.ids import Id, id_of

COLUMNS = (
    "event_id",
    "type",
    "time",
    "request_id",
    "user",
    "item_id",
    "rank",
    "value",
    "query",
    "attributes",
)
_TABLE = (
    "CREATE TABLE IF NOT EXISTS events (sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
    " event_id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, time INTEGER NOT NULL, request_id TEXT,"
    " user TEXT, item_id TEXT, rank INTEGER, value REAL, query TEXT, attributes TEXT)"
)
_BY_USER = (
    "CREATE INDEX IF NOT EXISTS events_by_user ON events (user, type, time) WHERE user IS NOT NULL"
)
TABLES = (_TABLE, _BY_USER)
_CHUNK = 20_000  # rows read at a time
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSERT = (
    f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
    " ON CONFLICT (event_id) DO NOTHING"
)

_NEWEST = (
    "SELECT time, sequence, type, item_id FROM events WHERE user = ? AND type = ? AND time > ?"
    " AND time <= ? AND item_id IS NOT NULL ORDER BY time DESC, sequence DESC LIMIT ?"
)
_NEXT = (
    "SELECT min(time) FROM events WHERE user = ? AND type = ? AND time > ? AND item_id IS NOT NULL"
)
_USERS = "SELECT user FROM events WHERE sequence > ? AND sequence <= ?"
_BETWEEN = (
    "SELECT sequence, type, time, user, item_id FROM events WHERE sequence > ? AND sequence <= ?"
    " ORDER BY sequence LIMIT ?"
)
_DELETE = (
    "DELETE FROM events WHERE sequence IN (SELECT sequence FROM events WHERE time < ? LIMIT ?)"
)


@dataclass(frozen=True)
class Selection:
    """Events to read: of `[after, until)` in microseconds since 1970, of `types`, up to `last`."""

    after: int | None
    until: int | None
    types: tuple[str, ...] | None
    last: int

    def condition(self) -> tuple[str, list[Any]]:
        """Return the SQL condition and its values."""
        parts, values = ["sequence > ?", "sequence <= ?"], list[Any]([self.last])
        for words, value in (("time >= ?", self.after), ("time < ?", self.until)):
            if value is not None:
                parts.append(words)
                values.append(value)
        if self.types is not None:
            parts.append(f"type IN ({', '.join('?' * len(self.types))})")
            values += self.types
        return " AND ".join(parts), values


def microseconds(time: datetime) -> int:
    """Return microseconds since 1970 of a time with a zone."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def moment(since: int) -> datetime:
    """Return the time of a number of microseconds since 1970, in UTC."""
    return _EPOCH + timedelta(microseconds=since)


@dataclass(frozen=True, slots=True)
class UserEvent:
    """An event of a user with an item: `time` in microseconds since 1970."""

    time: int
    sequence: int
    type: str
    item_id: Id


class EventFacts(NamedTuple):
    """The fields of an event that counting needs; ids are canonical."""

    sequence: int
    type: str
    time: int
    user: Id | None
    item_id: Id | None


def event_rows(events: Sequence[Event]) -> list[tuple[Any, ...]]:
    """Return events as rows of `COLUMNS`; ids, query and attributes are JSON, ids canonical."""
    return [
        (
            event.event_id,
            event.type,
            microseconds(event.time),
            event.request_id,
            _text(id_of(event.user)),
            _text(id_of(event.item_id)),
            event.rank,
            event.value,
            _text(event.query),
            _text(event.attributes),
        )
        for event in events
    ]


def append(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    """Write the rows with a new event_id; return their number."""
    return max(connection.executemany(_INSERT, rows).rowcount, 0)  # -1 of no rows


def read_between(connection: Connection, after: int, last: int, limit: int) -> list[EventFacts]:
    """Return the events after a number, up to another, at most `limit`."""
    rows = connection.execute(_BETWEEN, (after, last, limit)).fetchall()
    return [EventFacts(n, kind, time, _id(user), _id(item)) for n, kind, time, user, item in rows]


def last_event(database: Database) -> int:
    """Return the number of the newest event, 0 without events."""
    with database.reading() as connection:
        return last_sequence(connection)


def last_sequence(connection: Connection) -> int:
    """Return the number of the newest event, 0 without events."""
    return connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()[0]


def users_after(connection: Connection, sequence: int, last: int) -> list[Id]:
    """Return the users of the events after a number, up to another."""
    rows = connection.execute(_USERS, (sequence, last)).fetchall()
    found = (_id(text) for (text,) in rows)
    return [user for user in found if user is not None]


def newest_of_user(
    connection: Connection,
    user: Id,
    types: Sequence[str],
    *,
    after: int,
    until: int,
    length: int,
) -> list[UserEvent]:
    """Return a user's newest events with an item, oldest first, by time and then by arrival.

    Args:
        connection: that reads.
        user: a canonical id.
        types: only these.
        after: leave out events up to this time, in microseconds since 1970.
        until: leave out events after this time.
        length: at most so many.

    """
    found: list[tuple[Any, ...]] = []
    for text in user_texts(user):
        for kind in types:
            found += connection.execute(_NEWEST, (text, kind, after, until, length)).fetchall()
    found.sort()
    newest = ((t, n, kind, _id(item)) for t, n, kind, item in found[-length:])
    return [UserEvent(t, n, kind, item) for t, n, kind, item in newest if item is not None]


def next_of_user(connection: Connection, user: Id, types: Sequence[str], after: int) -> int | None:
    """Return the time of a user's first event after a time, None without one."""
    found = [
        connection.execute(_NEXT, (text, kind, after)).fetchone()[0]
        for text in user_texts(user)
        for kind in types
    ]
    return min((time for time in found if time is not None), default=None)


def user_texts(user: Id) -> tuple[str, ...]:
    """Return the JSON of a canonical id, and of its text, which earlier versions stored."""
    text = json_text(str(user))
    return (text,) if isinstance(user, str) else (json_text(user), text)


def delete_of_user(connection: Connection, user: Id) -> int:
    """Delete all events of a user; return their number."""
    return sum(
        connection.execute("DELETE FROM events WHERE user = ?", (text,)).rowcount
        for text in user_texts(user)
    )


def count(database: Database) -> int:
    """Return the number of events."""
    with database.reading() as connection:
        return connection.execute("SELECT count(*) FROM events").fetchone()[0]


def delete_before(database: Database, time: int) -> int:
    """Drop events before a time in microseconds since 1970, some at a time; return their number.

    The server can write in between.
    """
    gone = 0
    while True:
        with database.writing() as connection:
            now = connection.execute(_DELETE, (time, _CHUNK)).rowcount
        gone += now
        if now < _CHUNK:
            return gone


def read(
    database: Database, selection: Selection, columns: Sequence[str]
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the selected events in chunks, oldest first; writes may continue meanwhile."""
    condition, values = selection.condition()
    statement = (
        f"SELECT sequence, {', '.join(columns)} FROM events WHERE {condition}"  # noqa: S608
        f" ORDER BY sequence LIMIT {_CHUNK}"
    )
    sequence = 0
    while True:
        with database.reading() as connection:
            rows = connection.execute(statement, (sequence, *values)).fetchall()
        if not rows:
            return
        sequence = rows[-1][0]
        yield [row[1:] for row in rows]


def has_more(database: Database, selection: Selection, most: int) -> bool:
    """Return whether a selection has more than `most` events; takes a second for millions."""
    condition, values = selection.condition()
    statement = f"SELECT count(*) FROM (SELECT 1 FROM events WHERE {condition} LIMIT ?)"  # noqa: S608
    with database.reading() as connection:
        return connection.execute(statement, (0, *values, most + 1)).fetchone()[0] > most


def _text(value: Any) -> str | None:
    return None if value is None else json_text(value)


def _id(text: str | None) -> Id | None:
    return None if text is None else id_of(json.loads(text))
