"""The bundles chosen for a server, and the journal of their versions."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from crosstower.errors import ServeError
from crosstower.serving.state.database import Connection, Database
from crosstower.serving.state.event_log import microseconds, moment
from crosstower.serving.state.events import now
from crosstower.serving.state.json_text import json_text
from crosstower.values.addresses.address import absolute_path

VersionEvent = Literal[
    "begun", "published", "refused", "failed", "interrupted", "withdrawn", "rolled_back"
]
"""Event in the life of a version; a withdrawn version could not be served."""

CHOICES = ("published", "withdrawn", "rolled_back")  # lines that choose the bundle to serve
_BUNDLES = (
    "CREATE TABLE IF NOT EXISTS bundles"
    " (sequence INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL)"
)
_JOURNAL = (
    "CREATE TABLE IF NOT EXISTS versions (sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
    " number INTEGER NOT NULL, event TEXT NOT NULL, time INTEGER NOT NULL, base TEXT NOT NULL,"
    " path BLOB NOT NULL, choice INTEGER, live INTEGER, detail TEXT NOT NULL)"
)
# The bundles of the command lines that servers were started with, by content.
_DEPLOYMENTS = (
    "CREATE TABLE IF NOT EXISTS deployments"
    " (sequence INTEGER PRIMARY KEY AUTOINCREMENT, base TEXT NOT NULL)"
)
TABLES = (_BUNDLES, _JOURNAL, _DEPLOYMENTS)
_INSERT = (
    "INSERT INTO versions (number, event, time, base, path, choice, live, detail)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING sequence"
)


@dataclass(frozen=True)
class Entry:
    """A line of the journal.

    Args:
        sequence: of the line.
        number: of the version that the event concerns; 0 is the bundle of the command line.
        event: in the life of the version.
        time: in UTC.
        base: version (content hash) of the bundle of the command line.
        path: of the version's bundle; of a withdrawn version, of the bundle served in its place.
        choice: number of the choice of a bundle, if the line is one.
        live: number of the version with this bundle, if the line is a choice; None for a bundle
            that was swapped to by its path.
        detail: reasons, notes, measurements and facts, if there are any.

    """

    sequence: int
    number: int
    event: VersionEvent
    time: datetime
    base: str
    path: Path
    choice: int | None = None
    live: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


class VersionLog:
    """The journal of versions, a table in the file of the state.

    The choice of a bundle and its line are stored in one transaction, so a process that is killed
    leaves both or neither.

    Args:
        database: the file of the state.

    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self) -> list[Entry]:
        """Return all lines, oldest first.

        Raises:
            ServeError: a line is damaged.

        """
        with self._database.reading() as connection:
            rows = connection.execute("SELECT * FROM versions ORDER BY sequence")
            return [_entry(row) for row in rows.fetchall()]

    def add(
        self,
        event: VersionEvent,
        number: int,
        path: Path,
        *,
        base: str,
        detail: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Append a line; one that chooses a bundle makes all workers serve it.

        Args:
            event: in the life of the version.
            number: of the version.
            path: of its bundle.
            base: version of the bundle of the command line.
            detail: plain JSON values.

        Raises:
            ServeError: the disk is full or broken; nothing is stored.

        """
        with self._database.writing() as connection:
            line = Entry(0, number, event, now(), base, absolute_path(path), detail=detail or {})
            return _added(connection, line)

    def publish(
        self,
        number: int,
        path: Path,
        *,
        base: str,
        detail: Mapping[str, Any],
        instead_of: tuple[int, Path] | None,
    ) -> Entry | None:
        """Make all workers serve a new version, if no other bundle was chosen meanwhile.

        Args:
            number: of the version.
            path: of its bundle.
            base: version of the bundle of the command line.
            detail: plain JSON values.
            instead_of: choice that the version was compared with, as `State.bundle` gave it.

        Returns:
            The line; None if another bundle has been chosen since.

        Raises:
            ServeError: the disk is full or broken; nothing is stored.

        """
        with self._database.writing() as connection:
            if newest_bundle(connection) != instead_of:
                return None
            line = Entry(0, number, "published", now(), base, absolute_path(path), detail=detail)
            return _added(connection, line)

    def join(self, base: str, path: Path) -> Path:
        """Return the bundle that a starting server serves as one of several.

        It is the one that the others serve, if the newest deployment is of the same command line;
        else a new deployment begins, and all serve `path`.

        Args:
            base: version of the bundle of the command line.
            path: of the version of it that was live last, or of itself.

        """
        with self._database.writing() as connection:
            newest = newest_bundle(connection)
            rows = connection.execute(
                "SELECT base FROM deployments ORDER BY sequence DESC LIMIT 1"
            ).fetchall()
            if newest is not None and rows and rows[0][0] == base:
                return newest[1]
            connection.execute("INSERT INTO deployments (base) VALUES (?)", (base,))
            if newest is None or newest[1] != path:
                choose(connection, path)
        return path

    def withdraw(self, choice: int, reason: str, *, base: Path) -> Entry | None:
        """Return to the bundle that was served before a version that cannot be served.

        Args:
            choice: number of the choice of that version.
            reason: as a sentence.
            base: bundle of the command line.

        Returns:
            The line; None if the choice is not one of a version, or no longer the newest one.

        """
        with self._database.writing() as connection:
            newest = newest_bundle(connection)
            found = connection.execute(
                "SELECT * FROM versions WHERE choice = ? AND event != 'withdrawn'", (choice,)
            ).fetchone()
            before = connection.execute(
                "SELECT path FROM bundles WHERE sequence < ? ORDER BY sequence DESC LIMIT 1",
                (choice,),
            ).fetchone()
            if found is None or before is None or newest is None or newest[0] != choice:
                return None
            wrong, path = _entry(found), Path(os.fsdecode(before[0]))
            live = 0 if path == base else _number_of(connection, path)
            chosen, detail = choose(connection, path), {"reasons": [reason]}
            line = Entry(
                0, wrong.number, "withdrawn", now(), wrong.base, path, chosen, live, detail
            )
            return _append(connection, line)

    def number_of(self, path: Path, *, base: Path) -> int | None:
        """Return the number of the version whose bundle is at `path`; None for another bundle.

        Args:
            path: of a bundle.
            base: bundle of the command line, whose number is 0.

        """
        if path == base:
            return 0
        with self._database.reading() as connection:
            return _number_of(connection, path)

    def items_of(self, path: Path) -> int:
        """Return the number of the last change of an item that a version was built with.

        It is the fact `items` of its line, 0 for a bundle that is not a version.
        """
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT * FROM versions WHERE path = ? AND event = 'published'"
                " ORDER BY sequence DESC LIMIT 1",
                (os.fsencode(path),),
            ).fetchone()
        facts: Any = {} if row is None else _entry(row).detail.get("facts", {})
        items = facts.get("items", 0)
        return items if isinstance(items, int) else 0

    def last_choice(self, base: str) -> Entry | None:
        """Return the line that chose the live version of a bundle of the command line, if any."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT * FROM versions WHERE base = ? AND choice IS NOT NULL"
                " ORDER BY sequence DESC LIMIT 1",
                (base,),
            ).fetchone()
        return None if row is None else _entry(row)


def choose(connection: Connection, path: str | Path) -> int:
    """Store the bundle that all workers serve; return the number of this choice."""
    where = (os.fsencode(absolute_path(Path(path))),)
    added = connection.execute("INSERT INTO bundles (path) VALUES (?) RETURNING sequence", where)
    return added.fetchall()[0][0]


def newest_bundle(connection: Connection) -> tuple[int, Path] | None:
    """Return (number, path) of the bundle chosen last, None without one."""
    found = connection.execute("SELECT sequence, path FROM bundles ORDER BY sequence DESC LIMIT 1")
    row = found.fetchone()
    return None if row is None else (row[0], Path(os.fsdecode(row[1])))


def _number_of(connection: Connection, path: Path) -> int | None:
    row = connection.execute(
        "SELECT live FROM versions WHERE path = ? AND choice IS NOT NULL"
        " ORDER BY sequence DESC LIMIT 1",
        (os.fsencode(path),),
    ).fetchone()
    return None if row is None else row[0]


def _added(connection: Connection, line: Entry) -> Entry:
    if line.event in CHOICES:
        line = replace(line, choice=choose(connection, line.path), live=line.number)
    return _append(connection, line)


def _append(connection: Connection, line: Entry) -> Entry:
    """Store a line; return it with its number."""
    text, path = json_text(dict(line.detail)), os.fsencode(line.path)
    stamp = microseconds(line.time)
    row = (line.number, line.event, stamp, line.base, path, line.choice, line.live, text)
    added = connection.execute(_INSERT, row).fetchall()
    return replace(line, sequence=added[0][0])


def _entry(row: tuple[Any, ...]) -> Entry:
    sequence, number, event, time, base, path, choice, live, detail = row
    try:
        found: Any = json.loads(detail)
        instant = moment(time)
        where = Path(os.fsdecode(path))
    except (TypeError, ValueError, OverflowError, RecursionError):
        found = instant = where = None
    if not isinstance(found, dict) or instant is None or where is None:
        raise ServeError(
            f"line {sequence} of the journal of versions is damaged; restore a copy of the state"
            " folder"
        )
    return Entry(sequence, number, event, instant, base, where, choice, live, found)
