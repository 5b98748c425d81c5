"""The state of a server: changed items, users, events, and the bundle that it serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from crosstower.serving.state import event_log, item_log, spending, user_table, version_log
from crosstower.serving.state.address import StateAddress
from crosstower.serving.state.database import Database, StateUnavailableError
from crosstower.serving.state.events import Event
from crosstower.serving.state.heads import Heads, StoredEvents
from crosstower.serving.state.item_log import Change
from crosstower.serving.state.opening import open_database
from crosstower.serving.state.version_log import VersionLog
from crosstower.values.ids import Id

_TABLES = (
    *item_log.TABLES,
    *event_log.TABLES,
    *user_table.TABLES,
    spending.TABLE,
    *version_log.TABLES,
)
_HEADS = """
SELECT (SELECT coalesce(max(sequence), 0) FROM item_changes),
  (SELECT coalesce(max(sequence), 0) FROM events),
  (SELECT coalesce(max(sequence), 0) FROM users),
  (SELECT coalesce(max(sequence), 0) FROM erasures)
"""
_CHUNK = 1_000  # changes read at a time


class State:
    """The state of a server, shared by its worker processes and their threads.

    A write that has returned survives a killed process and a power cut. Open it once per process,
    after any fork. A folder is for the processes of one machine (no network drive), a schema of
    PostgreSQL for those of any number. All methods raise ServeError if the disk is full or broken,
    or the database cannot be reached.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._heads: Heads | None = None

    @classmethod
    def open(cls, address: str | StateAddress) -> Self:
        """Open a folder or a schema, which is created if it is missing.

        Args:
            address: as `state_address` reads it.

        Raises:
            ServeError: its tables are damaged, of a newer format, or cannot be written.

        """
        return cls(open_database(address, _TABLES))

    @classmethod
    def open_existing(cls, address: str | StateAddress) -> Self:
        """Open a folder or a schema that a server has written.

        Raises:
            ServeError: there is none, or as of `open`.

        """
        return cls(open_database(address, _TABLES, existing=True))

    @property
    def place(self) -> str:
        """Its address for messages, without a password."""
        return self._database.place

    @property
    def database(self) -> Database:
        """Its tables."""
        return self._database

    @property
    def versions(self) -> VersionLog:
        """The journal of versions."""
        return VersionLog(self._database)

    def put_items(self, rows: Sequence[dict[str, Any]], *, item: str) -> int:
        """Store whole rows of new or changed items; return the number of the last change.

        Args:
            rows: of plain JSON values; whole numbers of any size come back as they are.
            item: the key of the id, a whole number or text.

        Raises:
            DataError: a row has no id or a value without a JSON form, such as NaN; nothing is kept.

        """
        return self._append(item_log.put_entries(rows, item))

    def delete_items(self, ids: Sequence[int | str]) -> int:
        """Store that items are deleted, known or not; return the number of the last change.

        Raises:
            DataError: an id is neither a whole number nor text; nothing is kept.

        """
        return self._append(item_log.removal_entries(ids))

    def put_vectors(self, vectors: Mapping[Id, bytes], *, weights: str) -> int:
        """Store vectors of items; return the number of the last change.

        A vector counts until the item is put or deleted, in bundles with these weights.

        Args:
            vectors: little-endian float32 by canonical id.
            weights: SHA-256 of the retrieval model's weights.

        """
        return self._append(item_log.vector_entries(vectors, weights))

    def changes_after(self, sequence: int) -> Iterator[Change]:
        """Yield the changes of items with a higher number, oldest first."""
        while True:
            with self._database.reading() as connection:
                changes = item_log.read_after(connection, sequence, _CHUNK)
            if not changes:
                return
            yield from changes
            sequence = changes[-1].sequence

    def last_sequence(self) -> int:
        """Return the number of the newest change of an item, 0 without changes."""
        return self.heads().items

    def heads(self) -> Heads:
        """Return the numbers of the newest rows.

        They are read again, as a new object, only after a commit, in any process. Until then a call
        takes microseconds: cheap enough for each request. While a database that is followed cannot
        be reached, they are those of the last time.
        """
        version = self._database.version()
        if self._heads is None or self._heads.version != version:
            try:
                self._heads = self._read_heads(version)
            except StateUnavailableError:
                if self._heads is None:
                    raise
        return self._heads

    def follow(self) -> None:
        """Learn of the writes of other servers in the background, as a server needs it."""
        self._database.follow()
        self.heads()  # are kept from now on

    def behind(self) -> float:
        """Return the seconds for which newer writes of other servers may have been missed."""
        return self._database.behind()

    def compact(self) -> int:
        """Drop changes of items that later changes replace; return their number.

        Numbers stay as they are and are not used again. Other writers of a folder wait for it.
        """
        with self._database.upkeep() as connection:
            return item_log.drop_older(connection)

    def add_events(self, events: Sequence[Event]) -> StoredEvents:
        """Store events, all or none; an event_id is stored once."""
        rows = event_log.event_rows(events)
        if not rows:
            return StoredEvents(0, 0, 0, 0)
        with self._database.writing() as connection:
            after = event_log.last_sequence(connection)
            stored = event_log.append(connection, rows)
            last = event_log.last_sequence(connection)
        return StoredEvents(stored, len(rows) - stored, after, last)

    def delete_events(self, before: datetime) -> int:
        """Drop events before a time with a time zone; return their number.

        Their space in the file is reused. A deleted `event_id` can be stored again.
        """
        gone = event_log.delete_before(self._database, event_log.microseconds(before))
        with self._database.writing() as connection:
            user_table.count_deletion(connection, scrubbed=True)
        return gone

    def put_users(self, users: Mapping[Id, Mapping[str, Any]]) -> int:
        """Store attributes of users, which replace all earlier ones; return the newest number.

        Args:
            users: attributes, plain JSON values, by canonical id.

        Raises:
            DataError: a value is none that JSON can hold; nothing is kept.

        """
        entries = user_table.put_entries(users)
        with self._database.writing() as connection:
            user_table.put(connection, entries)
            return user_table.last_sequence(connection)

    def erase_users(self, users: Sequence[Id]) -> tuple[int, int]:
        """Erase attributes and events of users from the disk.

        The file is rewritten, so that no byte of the erased rows is left in it. If the process
        ends in between, `scrub` does so at the next start.

        Args:
            users: canonical ids.

        Returns:
            Number of users that had attributes, and of events.

        Raises:
            ServeError: this role of PostgreSQL may not vacuum the tables; nothing is erased.

        """
        self._database.check_scrub()
        with self._database.writing() as connection:
            found = user_table.erase(connection, users)
        self.scrub()
        return found

    def scrub(self) -> None:
        """Remove the remains of erased users from the file, if there may be any."""
        with self._database.reading() as connection:
            last = user_table.unscrubbed(connection)
        if not last:
            return
        self._database.scrub()
        with self._database.writing() as connection:
            user_table.mark_scrubbed(connection, last)

    def spend(self, entries: Sequence[spending.Entry]) -> list[spending.Entry]:
        """Add costs (campaign, period, cost); return the totals of all workers."""
        if entries:
            with self._database.writing() as connection:
                spending.add(connection, entries)
        with self._database.reading() as connection:
            return spending.totals(connection)

    def size(self) -> int:
        """Return the bytes in use, without those of dropped rows."""
        return self._database.used_bytes()

    def events(self) -> int:
        """Return the number of events; takes a moment for millions."""
        return event_log.count(self._database)

    def set_bundle(self, path: str | Path) -> int:
        """Store the bundle that all workers serve; return the number of this choice."""
        with self._database.writing() as connection:
            return version_log.choose(connection, path)

    def bundle(self) -> tuple[int, Path] | None:
        """Return (number, path) of the bundle chosen last, None without one."""
        return self.heads().bundle

    def check(self) -> None:
        """Read the whole file for damage, and all changes of items, once before the workers start.

        Erasures that were interrupted are completed.

        Raises:
            ServeError: it is damaged.

        """
        self._database.check()
        self.scrub()
        for _change in self.changes_after(0):
            pass

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _read_heads(self, version: int) -> Heads:
        with self._database.reading() as connection:
            items, events, users, erased = connection.execute(_HEADS).fetchone()
            bundle = version_log.newest_bundle(connection)
        return Heads(version, items, events, users, erased, bundle)

    def _append(self, entries: Sequence[item_log.Entry]) -> int:
        if not entries:
            return self.last_sequence()
        with self._database.writing() as connection:
            item_log.append(connection, entries)
            return item_log.last_sequence(connection)
