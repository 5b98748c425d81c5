"""A connection to PostgreSQL with pgvector, and its errors with their remedies."""

from __future__ import annotations

import importlib
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from crosstower.errors import IndexUnavailableError, QueryError, RunError, first_line
from crosstower.values.addresses.postgres_url import PASSWORDS, PostgresUrl

URL = "CROSSTOWER_PGVECTOR_URL"
LOCK = 7_221_842_073  # of PostgreSQL: CREATE … IF NOT EXISTS fails if two run at once
_SECRETS = PASSWORDS | {"passfile"}
_PREPARE_SECONDS = 10.0  # longest wait of a statement before the first transaction
_PAUSE_SECONDS = 5.0  # after a failed connection, so that requests do not wait for it in turn
_DEFAULTS = {
    "connect_timeout": 2,
    "application_name": "crosstower",
    # A host that has vanished is noticed within seconds.
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
_OLDEST = (0, 8)  # has iterative scans, without which filtered lists are short
Result = TypeVar("Result")


def chosen_url(given: str | None) -> str:
    """Return the address of the database: that of the environment, else the given one.

    Raises:
        QueryError: there is none, or it is not an address of PostgreSQL.

    """
    url = os.environ.get(URL) or given
    if not url:
        raise QueryError(
            f"index pgvector.url: missing; set {URL}=postgresql://USER:PASSWORD@HOST:5432/DATABASE,"
            " or pass --index-option url=postgresql://USER@HOST/DATABASE with PGPASSWORD set"
        )
    if not url.startswith(("postgresql://", "postgres://")):
        raise QueryError(
            f"index pgvector.url: expected postgresql://USER@HOST:5432/DATABASE, got the scheme"
            f" '{url.partition('://')[0] if '://' in url else 'none'}'"
        )
    try:
        PostgresUrl.parse(url)
    except ValueError as error:
        raise QueryError(f"index pgvector.url: {error}") from None
    return url


def without_secrets(url: str) -> str:
    """Return an address without its passwords, to store and to show.

    >>> without_secrets("postgresql://ann:secret@db:5432/shop?sslmode=require&password=secret")
    'postgresql://ann@db:5432/shop?sslmode=require'
    """
    return str(PostgresUrl.parse(url).without(_SECRETS))


class Session:
    """One connection, opened at its first use and again after it was lost; thread-safe.

    Args:
        url: of the database.

    """

    def __init__(self, url: str) -> None:
        self._connection: Any = None
        self._paused_until = 0.0
        self._url, self.shown = url, without_secrets(url)
        self._psycopg, self._lock = _package("psycopg"), threading.Lock()

    def __del__(self) -> None:
        """Close the connection: a bundle that is no longer served just goes out of scope."""
        self.close()

    def run(
        self, work: Callable[[Any], Result], *, again: bool = False, seconds: float = math.inf
    ) -> Result:
        """Return the result of `work`, one transaction that is given a cursor.

        Args:
            work: uses the cursor.
            again: repeat it once on a new connection if the old one was lost; for reads.
            seconds: longest wait for the response to a statement.

        Raises:
            IndexUnavailableError: the database cannot be reached, or takes too long.
            RunError: a table is missing, or the server refuses the statement.
            QueryError: it cannot store a value.

        """
        errors = self._psycopg.errors
        try:
            return self._once(work, seconds)
        except (self._psycopg.OperationalError, self._psycopg.InterfaceError) as error:
            lost = self._connection is not None and self._connection.closed
            if again and lost:
                return self.run(work, seconds=seconds)
            raise IndexUnavailableError(
                f"{self.shown}: {first_line(error)}; see its server"
            ) from None
        except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
            raise RunError(f"{self.shown}: {first_line(error)}; build the index again") from None
        except (self._psycopg.DataError, UnicodeEncodeError) as error:
            raise QueryError(f"pgvector cannot store or compare a value: {error}") from None
        except self._psycopg.Error as error:
            raise RunError(f"{self.shown}: {first_line(error)}") from None

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()

    def _once(self, work: Callable[[Any], Result], seconds: float) -> Result:
        with self._lock:  # transactions of one connection cannot overlap
            if self._connection is None or self._connection.closed:
                self._connection = None
                self._connection = self._opened()
            self._connection.limit = seconds
            with self._connection.transaction(), self._connection.cursor(binary=True) as cursor:
                return work(cursor)

    def _opened(self) -> Any:
        if time.monotonic() < self._paused_until:
            raise self._psycopg.OperationalError("the connection failed a moment ago")
        self._paused_until = time.monotonic() + _PAUSE_SECONDS
        given = PostgresUrl.parse(self._url).names
        try:
            connection = _package(
                "crosstower.storage.limited_connection"
            ).LimitedConnection.connect(
                self._url,
                autocommit=True,
                prepare_threshold=None,  # a plan per condition; poolers need no sessions
                **{name: value for name, value in _DEFAULTS.items() if name not in given},
            )
        except self._psycopg.ProgrammingError:  # its message shows the address
            raise QueryError(
                "index pgvector.url: cannot be read; expected"
                " postgresql://USER:PASSWORD@HOST:5432/DATABASE"
            ) from None
        connection.limit = _PREPARE_SECONDS
        self._prepare(connection)
        self._paused_until = 0.0
        return connection

    def _prepare(self, connection: Any) -> None:
        """Find the types of pgvector; the extension is created if this user may do so."""
        found = connection.execute(
            "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        ).fetchone()
        if found is None:
            try:
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
                    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            except self._psycopg.Error as error:
                connection.close()
                raise RunError(
                    f"{self.shown}: this database has no pgvector ({first_line(error)}); an"
                    " administrator adds it with: CREATE EXTENSION vector"
                ) from None
        elif tuple(int(n) for n in found[0].split(".")[:2]) < _OLDEST:
            connection.close()
            raise RunError(
                f"{self.shown}: pgvector {found[0]} is too old, expected 0.8 or newer; update it"
                " with: ALTER EXTENSION vector UPDATE"
            )
        _package("pgvector.psycopg").register_vector(connection)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise QueryError(
            f"an index in PostgreSQL needs the package {name.partition('.')[0]}; install it with:"
            " pip install 'crosstower[postgres]'"
        ) from error
