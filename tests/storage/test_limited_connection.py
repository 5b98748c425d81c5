import threading
from collections.abc import Iterator

import psycopg
import pytest

from crosstower.storage.limited_connection import LimitedConnection

from ..fixtures.postgres import PostgresServer
from ..fixtures.tcp_proxy import TcpProxy


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[TcpProxy]:
    proxy = TcpProxy(postgres_server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def raw(postgres_server: PostgresServer, proxy: TcpProxy) -> LimitedConnection:
    url = postgres_server.url().replace(str(postgres_server.port), str(proxy.port))
    return LimitedConnection.connect(url, autocommit=True)


def test_a_server_that_does_not_respond_is_given_up_also_within_a_transaction(
    raw: LimitedConnection, proxy: TcpProxy
) -> None:
    raw.limit = 0.2
    given_up = pytest.raises(psycopg.OperationalError, match=r"no response for 0\.2 seconds")
    with given_up, raw.transaction():
        proxy.mode = "hold"
        raw.execute("SELECT 1")
    assert raw.closed


def test_a_statement_can_be_given_up_for_another_reason(raw: LimitedConnection) -> None:
    reasons = list[str]()
    raw.reason = lambda: reasons[0] if reasons else None
    threading.Timer(0.2, reasons.append, ["the other one has noticed"]).start()
    with pytest.raises(psycopg.OperationalError, match="the other one has noticed"):
        raw.execute("SELECT pg_sleep(600)")
