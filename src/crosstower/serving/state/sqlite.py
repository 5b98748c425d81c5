"""One SQLite file for the writes of several processes and threads of a machine."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from crosstower.errors import ServeError
from crosstower.serving.state.database import FORMAT, Database

_WAIT = 30.0  # seconds for another process to finish its write
_PAUSE = 0.001  # seconds; far below the time of one write to the disk
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SqliteDatabase(Database):
    """A connection that writes and one that reads, so that no reader waits for the disk.

    A finished write is on the disk: it survives a killed process and a power cut. Processes take
    turns under a lock file, for two reasons: a waiting writer wakes within a millisecond, where
    SQLite would sleep for up to 100; and a checkpoint never meets a write, which up to SQLite
    3.51.2 could, rarely, lose pages (https://sqlite.org/wal.html#walresetbug). The system releases
    the lock of a killed process.

    Args:
        path: of the file. Nothing else may open it in this process: closing such a file would
            let go of SQLite's locks.
        tables: statements that make the tables and indexes that are missing.

    Raises:
        ServeError: the file is damaged, of a newer format, of something else, or not writable.

    """

    def __init__(self, path: Path, tables: Sequence[str]) -> None:
        super().__init__(f"{path.parent}")
        self.path, self._process = path, os.getpid()
        self._write_turn, self._read_turn = threading.Lock(), threading.RLock()
        self._lock = FileLock(path.with_suffix(".lock"), timeout=_WAIT)
        try:
            with _explained(path):
                self._writer = _connect(path)
                self._reader = _connect(path)
            self._prepare(tables)
        except BaseException:
            self.close()
            raise

    @property
    def shared(self) -> bool:
        """False: a file is for the processes of one machine."""
        return False

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Yield the connection inside a transaction, which is stored whole or not at all.

        Raises:
            ServeError: the disk is full or broken, or another process keeps the lock.

        """
        self._check_process()
        with self._write_turn, self._locked(), _explained(self.path):
            connection = self._writer
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite may have rolled back by itself
                    connection.execute("ROLLBACK")
                raise

    def upkeep(self) -> AbstractContextManager[sqlite3.Connection]:
        """Yield the connection that writes; others wait."""
        return self.writing()

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Yield the connection that reads; fetch all rows of a statement before the end.

        Raises:
            ServeError: the file is damaged or cannot be read.

        """
        self._check_process()
        with self._read_turn, _explained(self.path):
            yield self._reader

    def version(self) -> int:
        """Return SQLite's data_version; takes microseconds.

        The connection that reads never writes, so it shows our own commits too.
        """
        with self.reading() as connection:
            return connection.execute("PRAGMA data_version").fetchone()[0]

    def follow(self) -> None:
        """Do nothing: the version is read from the file."""

    def behind(self) -> float:
        """Return 0.0: the version is that of the file."""
        return 0.0

    @contextmanager
    def alone(self, work: str) -> Generator[None]:
        """Hold a lock file next to the state.

        Raises:
            ServeError: another process holds it.

        """
        lock = FileLock(self.path.with_name(f"{work}.lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise ServeError(
                f"{self.place}: another {work} uses this state; wait until it ends, or stop it"
            ) from error
        except OSError as error:
            raise ServeError(
                f"{error.filename or self.place}: cannot be written: {error.strerror or error}"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def check(self) -> None:
        """Read the whole file for damage; takes seconds per gigabyte.

        Raises:
            ServeError: it is damaged; names the first thing found.

        """
        with self.reading() as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        if found != "ok":
            raise ServeError(f"{self.path}: {_damaged(found)}")

    def used_bytes(self) -> int:
        """Return the bytes of the pages in use."""
        with self.reading() as connection:
            pages, free, size = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    def check_scrub(self) -> None:
        """Do nothing: a process that may write the file may rewrite it."""

    def scrub(self) -> None:
        """Rewrite the file without the remains of deleted rows; empty the write-ahead log.

        Takes time and free disk in proportion to the file; writers wait for it. Pages that SQLite
        has split may keep copies of moved rows even with secure_delete, so zeros alone are not
        enough.

        Raises:
            ServeError: the disk is full or broken, or another process keeps reading.

        """
        self._check_process()
        with self._write_turn, self._locked(), _explained(self.path):
            self._writer.execute("VACUUM")
            busy = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise ServeError(
                f"{self.path}: another process has kept reading for {_WAIT:g} seconds, so its log"
                " still holds deleted rows; check whether that process is suspended"
            )

    def close(self) -> None:
        """Close both connections; the last process to do so leaves one file behind."""
        for name in ("_reader", "_writer"):
            if (opened := self.__dict__.get(name)) is not None:
                opened.close()

    @contextmanager
    def _locked(self) -> Generator[None]:
        try:
            self._lock.acquire(poll_interval=_PAUSE)
        except Timeout as error:
            raise ServeError(
                f"{error.lock_file}: another process has held it for {_WAIT:g} seconds; nothing was"
                " written; check whether that process is suspended"
            ) from error
        except OSError as error:
            raise ServeError(f"{self.path}: cannot be opened: {error.strerror or error}") from error
        try:
            yield
        finally:
            self._lock.release()

    def _prepare(self, tables: Sequence[str]) -> None:
        """Check the format of an existing file, and create the tables that are missing."""
        with self._locked(), _explained(self.path):
            mode = self._writer.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise ServeError(f"{self.path}: its disk cannot be shared by processes; choose another")
        with self.writing() as connection:
            found = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if not found:
                connection.execute("CREATE TABLE meta (format INTEGER NOT NULL)")
                connection.execute("INSERT INTO meta VALUES (?)", (FORMAT,))
            elif ("meta",) not in found:
                raise ServeError(
                    f"{self.path}: is not the state of a server; choose another folder"
                )
            else:
                self._check_format(connection)
            for statement in tables:
                connection.execute(statement)

    def _check_format(self, connection: sqlite3.Connection) -> None:
        stored = connection.execute("SELECT format FROM meta").fetchone()
        if stored is None or not isinstance(stored[0], int):
            raise ServeError(f"{self.path}: {_damaged('its format is missing')}")
        if stored[0] != FORMAT:
            raise ServeError(
                f"{self.path}: has format {stored[0]}, this version of Crosstower reads {FORMAT};"
                " use the version that wrote it, or another folder"
            )

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise ServeError(
                f"{self.path}: was opened by process {self._process}, which forked this"
                " one; open it in each process for itself"
            )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def _explained(path: Path) -> Generator[None]:
    """Raise SQLite's errors as ServeError."""
    try:
        yield
    except sqlite3.Error as error:
        raise ServeError(f"{path}: {_reason(error)}") from error


def _reason(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full; nothing of this was stored; free space and send it again"
    if code in _DAMAGED:
        return _damaged(str(error))
    return f"cannot be read or written: {error}; check the disk and its permissions"


def _damaged(what: str) -> str:
    return f"is damaged: {what}; restore a copy, or move the folder away to start with an empty one"
