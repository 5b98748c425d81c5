import logging
import time
from collections.abc import Callable

import psycopg
import pytest

from crosstower.serving.state import follower as module
from crosstower.serving.state.address import PostgresAddress, state_address
from crosstower.serving.state.follower import Follower
from crosstower.serving.state.postgres_connection import connect
from crosstower.serving.state.state import State
from crosstower.storage.limited_connection import LimitedConnection

SECONDS = 60


def until(fact: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.01)


def follower(address: PostgresAddress) -> Follower:
    def listener(reason: Callable[[], str | None]) -> LimitedConnection:
        return connect(address, seconds=5, reason=reason)

    return Follower(str(address), listener, f"crosstower/{address.schema}")


@pytest.fixture
def address(schema: str) -> PostgresAddress:
    found = state_address(schema)
    assert isinstance(found, PostgresAddress)
    return found


def test_a_notification_is_heard_long_before_the_next_look(
    address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL", SECONDS * 10.0)
    with State.open(address) as state:
        found = follower(address)
        found.start(0)
        until(lambda: found.behind() < 1 and found.version == state.database.version())
        time.sleep(0.2)  # it listens
        state.put_items([{"id": 1}], item="id")
        until(lambda: found.version == state.database.version())
        found.close()


def test_a_lost_notification_is_made_up_for_by_the_next_look(
    address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL", 0.05)
    with State.open(address) as state:
        found = follower(address)
        found.start(0)
        with state.database.writing() as connection:
            connection.execute(f'UNLISTEN "crosstower/{address.schema}"')
            connection.execute("UPDATE meta SET commits = commits + 100")
        until(lambda: found.version > 100)
        found.close()


def test_it_says_once_that_the_database_is_away_and_once_that_it_is_back(
    address: PostgresAddress, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    State.open(address).close()
    broken = [True]

    def listener(reason: Callable[[], str | None]) -> LimitedConnection:
        if broken:
            raise psycopg.OperationalError("connection\n  refused")
        return connect(address, seconds=5, reason=reason)

    found = Follower("the state", listener, "channel")
    with caplog.at_level(logging.WARNING, "uvicorn.error"):
        found.start(7)
        until(lambda: found.away == "connection refused")
        until(lambda: found.behind() > 0.1)
        assert found.version == 7
        broken.clear()
        until(lambda: found.away is None)
    assert found.behind() < SECONDS
    found.close()
    assert [record.getMessage() for record in caplog.records] == [
        "the state: connection refused; requests are answered from memory",
        "the state: is available again",
    ]


def test_its_own_commits_count_at_once() -> None:
    found = follower(PostgresAddress("postgresql://h/db"))
    found.reach(5)
    found.reach(3)
    assert found.version == 5
    found.close()
