import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from crosstower.serving.state import postgres_connection as module
from crosstower.serving.state.address import PostgresAddress, state_address
from crosstower.serving.state.postgres_connection import (
    Pool,
    PostgresConnection,
    connect,
)
from crosstower.storage.limited_connection import LimitedConnection

from ...fixtures.postgres import PostgresServer
from ...fixtures.tcp_proxy import TcpProxy


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[TcpProxy]:
    proxy = TcpProxy(postgres_server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def address(postgres_server: PostgresServer, proxy: TcpProxy) -> PostgresAddress:
    url = postgres_server.url().replace(str(postgres_server.port), str(proxy.port))
    found = state_address(url)
    assert isinstance(found, PostgresAddress)
    return found


def test_a_server_that_does_not_respond_is_given_up(
    address: PostgresAddress, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.2)
    raw = connect(address, seconds=0.2)
    proxy.mode = "hold"
    with pytest.raises(psycopg.OperationalError, match=r"no response for 0\.4 seconds"):
        raw.execute("SELECT 1")
    assert raw.closed


def test_the_server_ends_a_statement_that_takes_too_long(address: PostgresAddress) -> None:
    with connect(address, seconds=0.1) as raw:
        with pytest.raises(psycopg.errors.QueryCanceled):
            raw.execute("SELECT pg_sleep(600)")
        assert raw.execute("SELECT 1").fetchone() == (1,)


def test_given_parameters_take_the_place_of_the_defaults(address: PostgresAddress) -> None:
    more = PostgresAddress(f"{address.url}?application_name=mine", "other")
    with connect(more, seconds=1) as raw:
        names = ("application_name", "search_path", "client_encoding", "statement_timeout")
        found = [raw.execute(f"SHOW {name}".encode()).fetchone() for name in names]
    assert found == [("mine",), ("other",), ("UTF8",), ("1s",)]


def test_rows_are_counted_and_parameters_are_bound(address: PostgresAddress) -> None:
    with connect(address, seconds=5) as raw:
        connection = PostgresConnection(raw)
        connection.execute("CREATE TEMP TABLE t (user TEXT UNIQUE, x REAL, b BLOB)")
        insert = "INSERT INTO t VALUES (?, ?, ?) ON CONFLICT (user) DO NOTHING"
        rows = [("a%s?", 0.1, b"\0\xff"), ("b", None, None), ("b", 2.0, None)]
        assert connection.executemany(insert, rows).rowcount == 2
        found = connection.execute("SELECT * FROM t WHERE user = ?", ("a%s?",))
        assert found.fetchall() == [("a%s?", 0.1, b"\0\xff")]
        assert list(connection.execute("SELECT 7 % 4")) == [(3,)]


@pytest.mark.slow
def test_a_process_that_stops_within_a_transaction_loses_it_after_any_statement(
    address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IN_TRANSACTION", 0.2)
    rows = [("a",)] * 2
    for write in (
        lambda connection: connection.execute("INSERT INTO t VALUES (?)", ("a",)),
        lambda connection: connection.executemany("INSERT INTO t VALUES (?)", rows),
    ):
        with connect(address, seconds=5) as raw:
            connection = PostgresConnection(raw)
            connection.execute("CREATE TEMP TABLE t (a TEXT)")
            connection.execute("BEGIN")
            write(connection)
            time.sleep(1)
            with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
                connection.execute("SELECT 1")


def test_many_rows_are_written_whole(
    address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TOGETHER", 3)
    with connect(address, seconds=5) as raw:
        connection = PostgresConnection(raw)
        connection.execute("CREATE TEMP TABLE t (user TEXT PRIMARY KEY, x REAL)")
        rows = [(f"a'\\{n}; --", 1 / (n + 3)) for n in range(8)]
        assert connection.executemany("INSERT INTO t VALUES (?, ?)", rows).rowcount == 8
        assert connection.executemany("DELETE FROM t WHERE user = ?", []).rowcount == 0
        assert connection.execute("SELECT * FROM t ORDER BY user").fetchall() == rows


class Opened:
    """Counts the connections that a pool opens."""

    def __init__(self, address: PostgresAddress) -> None:
        self.address, self.number = address, 0

    def __call__(self) -> LimitedConnection:
        self.number += 1
        return connect(self.address, seconds=5)


def use(pool: Pool, work: Callable[[LimitedConnection], object] = lambda raw: None) -> None:
    with pool.connection() as raw:
        work(raw)


def test_a_sound_connection_is_used_again_and_a_broken_one_replaced(
    address: PostgresAddress, proxy: TcpProxy
) -> None:
    opened = Opened(address)
    pool = Pool(opened, size=2, seconds=5)
    for _ in range(3):
        use(pool)
    assert opened.number == 1
    use(pool, lambda raw: raw.execute("BEGIN"))  # left within a transaction
    use(pool)
    assert opened.number == 2
    proxy.cut()
    proxy.mode = "forward"
    time.sleep(0.1)
    use(pool, lambda raw: raw.execute("SELECT 1"))
    assert opened.number == 3
    pool.close()
    with pytest.raises(psycopg.OperationalError, match="the state is closed"):
        use(pool)


def test_a_pool_has_a_largest_size(address: PostgresAddress) -> None:
    pool = Pool(Opened(address), size=1, seconds=0.05)
    full = pytest.raises(psycopg.OperationalError, match=r"in use for 0\.05 s.*raise pool_size")
    with pool.connection(), full:
        use(pool)
    use(pool)
    pool.close()
