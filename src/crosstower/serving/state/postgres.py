"""A schema of a PostgreSQL database for the writes of servers on any number of machines."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress

import psycopg
from psycopg import errors

from crosstower.errors import DataError, ServeError
from crosstower.serving.state.address import PostgresAddress
from crosstower.serving.state.database import Database, StateUnavailableError
from crosstower.serving.state.follower import RESPONSE_SECONDS, Follower
from crosstower.serving.state.postgres_connection import (
    Pool,
    PostgresConnection,
    connect,
)
from crosstower.serving.state.postgres_schema import prepare_schema
from crosstower.storage.limited_connection import LimitedConnection

# The row of `meta` is the turn of the writers: numbers are given and committed in one order.
_BEGIN = """
BEGIN; UPDATE meta SET commits = commits + 1; NOTIFY "{channel}"; SELECT commits FROM meta
"""
_LOCK = b"SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
_UNLOCK = b"SELECT pg_advisory_unlock(hashtextextended(%s, 0))"
_BYTES = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident(%s)) AND c.relkind = 'r'
"""
_KNOWS_MAINTAIN, _MAINTAIN = 170_000, "has_table_privilege(c.oid, 'MAINTAIN')"
_MAY_VACUUM = """
SELECT bool_and(pg_has_role(c.relowner, 'USAGE') OR pg_has_role(d.datdba, 'USAGE') OR {more})
FROM pg_class c, pg_database d
WHERE c.oid IN ('events'::regclass, 'users'::regclass) AND d.datname = current_database()
"""
_UNSENDABLE = (errors.DataError, errors.ProgramLimitExceeded)


class PostgresDatabase(Database):
    """Connections that read and write, and one that listens for the commits of other processes.

    Writers take turns under the lock of one row, so that rows are numbered in the order in which
    they become visible. A process that stops within a transaction loses its turn after 5 seconds.

    Args:
        address: of the schema.
        tables: statements that make the tables and indexes that are missing.
        existing: refuse a schema that no server has written.

    Raises:
        ServeError: the schema is of something else or of a newer format, or must not be written.
        StateUnavailableError: the server cannot be reached.

    """

    def __init__(
        self, address: PostgresAddress, tables: Sequence[str], *, existing: bool = False
    ) -> None:
        super().__init__(str(address))
        self._address, self._process = address, os.getpid()
        self._channel = f"crosstower/{address.schema}"
        self._begin = _BEGIN.format(channel=self._channel).encode()
        self._follower: Follower | None = None
        self._seconds = math.inf  # of a statement
        self._pool = self._new_pool()
        try:
            with self._explained(), self._pool.connection() as raw:
                prepare_schema(raw, address, tables, existing=existing)
        except BaseException:
            self.close()
            raise

    @property
    def shared(self) -> bool:
        """True: any number of servers may use it."""
        return True

    @contextmanager
    def writing(self) -> Generator[PostgresConnection]:
        """Yield a connection inside a transaction, once it is this process's turn.

        Raises:
            StateUnavailableError: the server cannot be reached; names what may have been stored.
            ServeError: the disk of the server is full, or the statement takes too long.
            DataError: a value is none that PostgreSQL can hold, such as a NUL character.

        """
        self._check()
        with self._explained("nothing was stored, try again"), self._begun() as (raw, version):
            try:
                yield PostgresConnection(raw)
            except BaseException:
                with suppress(psycopg.Error):
                    raw.execute("ROLLBACK")
                raise
            try:
                raw.execute("COMMIT")
            except psycopg.OperationalError as error:
                raise StateUnavailableError(
                    f"{self.place}: {self._reason(error)}; this write may have been stored or not:"
                    " send it again, an event_id is stored once"
                ) from error
        if self._follower is not None:
            self._follower.reach(version)

    @contextmanager
    def upkeep(self) -> Generator[PostgresConnection]:
        """Yield a connection without a limit of time; writers and readers continue."""
        with self._explained(), self._own_connection() as raw:
            yield PostgresConnection(raw)

    @contextmanager
    def reading(self) -> Generator[PostgresConnection]:
        """Yield a connection that reads committed rows.

        Raises:
            StateUnavailableError: the server cannot be reached.

        """
        self._check()
        with self._explained(), self._pool.connection() as raw:
            yield PostgresConnection(raw)

    def version(self) -> int:
        """Return the number of commits; without a query once it is followed."""
        if self._follower is not None:
            return self._follower.version
        with self.reading() as connection:
            return connection.execute("SELECT commits FROM meta").fetchone()[0]

    def follow(self) -> None:
        """Keep the version up to date in the background, also over an outage."""
        version, self._seconds = self.version(), self._address.statement_timeout
        self._pool.close()
        self._pool = self._new_pool()
        self._follower = Follower(self.place, self._listener, self._channel)
        self._follower.start(version)

    def behind(self) -> float:
        """Return the seconds since the version was last known to be the newest."""
        return 0.0 if self._follower is None else self._follower.behind()

    @contextmanager
    def alone(self, work: str) -> Generator[None]:
        """Hold an advisory lock; should this process die, the server releases it.

        Raises:
            ServeError: another process holds it.

        """
        with self._explained(), self._own_connection() as raw:
            name = f"{self._channel}/{work}"
            if raw.execute(_LOCK, (name,)).fetchone() != (True,):
                raise ServeError(
                    f"{self.place}: another {work} uses this state; wait until it ends, or stop it"
                )
            try:
                yield
            finally:  # closing alone releases it only once the server has noticed
                raw.limit = RESPONSE_SECONDS
                with suppress(psycopg.Error):
                    raw.execute(_UNLOCK, (name,))

    def check(self) -> None:
        """Do nothing: PostgreSQL checks its pages when it reads them."""

    def used_bytes(self) -> int:
        """Return the bytes of tables and indexes, with those of deleted rows."""
        with self._explained(), self._pool.connection() as raw:
            found = raw.execute(_BYTES, (self._address.schema,)).fetchone()
        return 0 if found is None else found[0]

    def check_scrub(self) -> None:
        """Reject a role that may not vacuum: PostgreSQL would skip its tables with a warning.

        Raises:
            ServeError: it may not; names what to grant.

        """
        with self._explained(), self._pool.connection() as raw:
            newer = raw.info.server_version >= _KNOWS_MAINTAIN
            found = raw.execute(_MAY_VACUUM.format(more=_MAINTAIN if newer else "false").encode())
            if found.fetchone() == (True,):
                return
            role = raw.info.user
        raise ServeError(
            f"{self.place}: the role {role} may not vacuum the tables, so erased rows would stay;"
            " nothing was erased; GRANT MAINTAIN ON events, users to it (PostgreSQL 17 or newer),"
            " or use the role that owns the tables"
        )

    def scrub(self) -> None:
        """Remove deleted rows from tables and indexes; readers and writers continue.

        The log of PostgreSQL and backups keep them until they are recycled.
        """
        with self._explained(), self._own_connection() as raw:
            raw.execute("VACUUM events, users")

    def close(self) -> None:
        """Close all connections."""
        if self._follower is not None:
            self._follower.close()
        self._pool.close()

    def _new_pool(self) -> Pool:
        address, seconds = self._address, self._seconds
        return Pool(
            lambda: connect(address, seconds=seconds, reason=self._away),
            size=address.pool_size,
            seconds=address.statement_timeout,
        )

    def _listener(self, reason: Callable[[], str | None]) -> LimitedConnection:
        raw = connect(self._address, seconds=self._seconds, reason=reason)
        raw.limit = RESPONSE_SECONDS
        return raw

    @contextmanager
    def _begun(self) -> Generator[tuple[LimitedConnection, int]]:
        """Yield a connection within a transaction, and the number of its commit."""
        with self._pool.connection() as raw:
            found = raw.execute(self._begin)
            while found.nextset():
                pass
            row = found.fetchone()
            if row is None:
                raise ServeError(f"{self.place}: is damaged: its format is missing")
            yield raw, row[0]

    @contextmanager
    def _own_connection(self) -> Generator[LimitedConnection]:
        """Yield a connection without a limit, in addition to those of the pool."""
        self._check()
        with connect(self._address, seconds=math.inf, reason=self._away) as raw:
            yield raw

    def _check(self) -> None:
        if os.getpid() != self._process:
            raise ServeError(
                f"{self.place}: was opened by process {self._process}, which forked this"
                " one; open it in each process for itself"
            )
        if (away := self._away()) is not None:
            raise StateUnavailableError(f"{self.place}: {away}; try again later")

    def _away(self) -> str | None:
        return None if self._follower is None else self._follower.away

    @contextmanager
    def _explained(self, advice: str = "try again") -> Generator[None]:
        """Raise the errors of psycopg as ours; `advice` ends those that pass."""
        try:
            yield
        except _UNSENDABLE as error:
            raise DataError(f"{self.place}: cannot be stored: {self._reason(error)}") from error
        except errors.DiskFull as error:
            raise ServeError(
                f"{self.place}: the disk is full; nothing of this was stored; free space and send"
                " it again"
            ) from error
        except (errors.QueryCanceled, errors.LockNotAvailable) as error:
            raise StateUnavailableError(
                f"{self.place}: took longer than {self._seconds:g} seconds;"
                f" {advice}, or raise statement_timeout if it should take so long"
            ) from error
        except (psycopg.OperationalError, psycopg.InterfaceError, *_GONE) as error:
            raise StateUnavailableError(f"{self.place}: {self._reason(error)}; {advice}") from error
        except psycopg.Error as error:
            raise ServeError(f"{self.place}: cannot be used: {self._reason(error)}") from error

    def _reason(self, error: BaseException) -> str:
        return self._address.hide(" ".join(f"{error}".split()) or type(error).__name__)


_GONE = (
    errors.IdleInTransactionSessionTimeout,  # this process was paused
    errors.ReadOnlySqlTransaction,  # the server is, or became, a standby
)
