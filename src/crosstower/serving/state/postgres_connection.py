"""Connections to PostgreSQL: their settings, the statements of the logs, and a pool."""

from __future__ import annotations

import math
import select
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import psycopg
from psycopg import conninfo, pq

from crosstower.errors import ServeError
from crosstower.serving.state.address import PostgresAddress
from crosstower.serving.state.database import QueryResult, Written
from crosstower.serving.state.dialect import postgres_sql
from crosstower.storage.limited_connection import LimitedConnection

_GRACE = 3.0  # seconds beyond the server's own limit
_TOGETHER = 500  # statements of one query
_IN_TRANSACTION = 5.0  # seconds between two statements: a paused process must let go of its lock
_DEFAULTS: dict[str, Any] = {
    "application_name": "crosstower",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "client_encoding": "utf8",
}
_SESSION = """
SELECT set_config('search_path', quote_ident(%(schema)s), false),
  set_config('statement_timeout', %(statement)s, false),
  set_config('idle_in_transaction_session_timeout', %(transaction)s, false),
  set_config('idle_session_timeout', '0', false),
  set_config('default_transaction_isolation', 'read committed', false),
  set_config('synchronous_commit', CASE current_setting('synchronous_commit')
    WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""


@dataclass(frozen=True)
class _Written:
    rowcount: int


class PostgresConnection:
    """Runs the statements of the logs on a connection of psycopg."""

    def __init__(self, raw: LimitedConnection) -> None:
        self._raw = raw

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> QueryResult:
        """Run one statement."""
        return self._raw.execute(postgres_sql(statement).encode(), values)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> Written:
        """Run a statement once per row of parameters.

        `executemany` of psycopg uses a pipeline, within and after which the server does not apply
        `idle_in_transaction_session_timeout`: a process that is paused then keeps its turn for
        ever. Here the statements are sent as one query.
        """
        cursor, query = psycopg.ClientCursor(self._raw), postgres_sql(statement).encode()
        written, rest = 0, iter(rows)
        while part := [cursor.mogrify(query, row) for row in islice(rest, _TOGETHER)]:
            cursor.execute(";".join(part).encode())
            written += cursor.rowcount
            while cursor.nextset():
                written += cursor.rowcount
        return _Written(written)


def connect(
    address: PostgresAddress,
    *,
    seconds: float,
    reason: Callable[[], str | None] = lambda: None,
) -> LimitedConnection:
    """Open a connection in autocommit mode.

    Args:
        address: of the state.
        seconds: that a statement may take; infinite for no limit.
        reason: returns why to give up a statement, None to wait on.

    Raises:
        psycopg.Error: the server cannot be reached or refuses the login.
        ServeError: the address is no URL of PostgreSQL.

    """
    try:
        given = conninfo.conninfo_to_dict(address.url)
    except psycopg.ProgrammingError as error:
        raise ServeError(f"--state: {address.hide(str(error))}".strip()) from None
    raw = LimitedConnection.connect(
        conninfo.make_conninfo("", **{**_DEFAULTS, **given}), autocommit=True
    )
    raw.limit, raw.reason = seconds + _GRACE, reason
    limited = 0 if math.isinf(seconds) else max(int(seconds * 1000), 1)
    settings = {"schema": address.schema, "statement": f"{limited}"}
    raw.execute(_SESSION, {**settings, "transaction": f"{int(_IN_TRANSACTION * 1000)}"})
    return raw


class Pool:
    """At most `size` connections, opened when needed and kept while they are sound.

    Args:
        open_one: opens a connection.
        size: largest number of connections.
        seconds: longest wait for one.

    """

    def __init__(
        self, open_one: Callable[[], LimitedConnection], *, size: int, seconds: float
    ) -> None:
        self._open, self._seconds = open_one, seconds
        self._places = threading.BoundedSemaphore(size)
        self._idle = deque[LimitedConnection]()
        self._closed = False

    @contextmanager
    def connection(self) -> Generator[LimitedConnection]:
        """Lend a connection; one that ends within a transaction or broken is closed.

        Raises:
            psycopg.Error: none can be opened, or all are in use for too long.

        """
        if self._closed:
            raise psycopg.OperationalError("the state is closed")
        if not self._places.acquire(timeout=self._seconds):
            raise psycopg.OperationalError(
                f"all connections are in use for {self._seconds:g} seconds; raise pool_size"
            )
        try:
            raw = self._taken()
            try:
                yield raw
            finally:
                self._give_back(raw)
        finally:
            self._places.release()

    def close(self) -> None:
        """Close all connections that are not lent."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _taken(self) -> LimitedConnection:
        while self._idle:
            raw = self._idle.pop()
            if _is_sound(raw):
                return raw
            raw.close()
        return self._open()

    def _give_back(self, raw: LimitedConnection) -> None:
        idle = raw.info.transaction_status == pq.TransactionStatus.IDLE
        if idle and not self._closed:
            self._idle.append(raw)
        else:
            raw.close()


def _is_sound(raw: LimitedConnection) -> bool:
    """Return whether the server has not closed an idle connection, which makes it readable."""
    if raw.closed:
        return False
    poll = select.poll()  # unlike select.select, for any number of open files
    poll.register(raw.fileno(), select.POLLIN)
    return not poll.poll(0)
