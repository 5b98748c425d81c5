"""Transactions of several processes in PostgreSQL: their order, their end, and their errors."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from crosstower.errors import DataError, ServeError
from crosstower.serving.state import follower as follower_module
from crosstower.serving.state import postgres_connection as module
from crosstower.serving.state.database import StateUnavailableError
from crosstower.serving.state.events import Event
from crosstower.serving.state.postgres import PostgresDatabase
from crosstower.serving.state.state import State

from ...fixtures.postgres import PASSWORD, OwnPostgres, PostgresServer
from ...fixtures.tcp_proxy import TcpProxy

SECONDS = 60


def events(*ids: str) -> list[Event]:
    return [Event(event_id=i, type="click") for i in ids]


def until(fact: Any) -> None:
    end = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.02)


_AFTER = "SELECT sequence, event_id FROM events WHERE sequence > ? ORDER BY sequence"
_INSERT = "INSERT INTO events (event_id, type, time) VALUES (?, ?, ?)"


def write_slowly(schema: str, name: str) -> None:
    rng = random.Random(name)
    with State.open(schema) as state:
        for n in range(25):
            with state.database.writing() as connection:
                connection.execute(_INSERT, (f"{name}-{n}", "c", 0))
                time.sleep(rng.random() / 100)


def read_on(schema: str, over: threading.Event, seen: list[str]) -> None:
    last = 0
    with State.open(schema) as state:
        while True:
            ended = over.is_set()
            with state.database.reading() as connection:
                rows = connection.execute(_AFTER, (last,)).fetchall()
            if rows:
                last = rows[-1][0]
                seen.extend(row[1] for row in rows)
            elif ended:
                return


def test_a_reader_that_goes_on_from_its_last_number_misses_nothing(schema: str) -> None:
    """Writers at random speeds, whose numbers would become visible out of order."""
    over, seen = threading.Event(), list[str]()
    State.open(schema).close()
    writers = [threading.Thread(target=write_slowly, args=(schema, name)) for name in "abc"]
    reader = threading.Thread(target=read_on, args=(schema, over, seen))
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    reader.join()
    assert sorted(seen) == sorted(f"{name}-{n}" for name in "abc" for n in range(25))


def test_a_failed_transaction_leaves_nothing_and_lets_others_write(schema: str) -> None:
    def fail(state: State) -> None:
        with state.database.writing() as connection:
            connection.execute("INSERT INTO item_changes (id) VALUES ('1')")
            raise KeyError

    with State.open(schema) as ours, State.open(schema) as theirs:
        with pytest.raises(KeyError):
            fail(ours)
        with pytest.raises(ServeError, match="cannot be used"), ours.database.writing() as c:
            c.execute("INSERT INTO absent VALUES (1)")
        assert theirs.last_sequence() == 0
        assert theirs.put_items([{"id": 1}], item="id") == ours.last_sequence() > 0


@pytest.mark.parametrize("bad", ["a\0b", "\0"])
def test_text_that_cannot_be_stored_is_refused_as_data(schema: str, bad: str) -> None:
    with State.open(schema) as state:
        with pytest.raises(DataError, match=r"cannot be stored: .*NUL"):
            state.add_events(events("a", bad))
        assert state.events() == 0


def test_a_key_that_is_too_long_for_an_index_is_refused_as_data(schema: str) -> None:
    digits = "".join(random.Random(0).choices("0123456789abcdef", k=9_000))
    with State.open(schema) as state, pytest.raises(DataError, match="cannot be stored: index row"):
        state.add_events([Event.model_construct(**events("a")[0].model_dump() | {"user": digits})])


def test_a_forked_process_has_to_open_its_own(schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with State.open(schema) as state:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1)
            for call in (state.last_sequence, state.compact, lambda: state.set_bundle("/b")):
                with pytest.raises(ServeError, match="open it in each process for itself"):
                    call()
        assert state.compact() == 0


def test_one_process_alone_does_some_work(schema: str) -> None:
    with State.open(schema) as ours, State.open(schema) as theirs:
        with ours.database.alone("retraining"):
            used = "another retraining uses this state"
            with pytest.raises(ServeError, match=used), theirs.database.alone("retraining"):
                pass
            with theirs.database.alone("other work"):
                pass
        with theirs.database.alone("retraining"):
            pass


def test_work_can_follow_other_work_at_once(schema: str) -> None:
    with State.open(schema) as ours, State.open(schema) as theirs:
        for _ in range(30):
            with ours.database.alone("retraining"):
                pass
            with theirs.database.alone("retraining"):
                pass


def test_work_ends_in_its_own_error_if_the_server_is_gone(
    schema: str, postgres_server: PostgresServer
) -> None:
    def work() -> None:
        with state.database.alone("retraining"):
            postgres_server.execute(end)
            raise RuntimeError("of the work")

    end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    with State.open(schema) as state, pytest.raises(RuntimeError, match="of the work"):
        work()


def test_the_size_is_that_of_the_tables(schema: str) -> None:
    with State.open(schema) as state:
        before = state.size()
        state.put_items([{"id": n, "x": os.urandom(500).hex()} for n in range(300)], item="id")
        assert state.size() > before + 300 * 1_000


def test_commits_reach_the_disk_even_if_the_server_would_not_wait(
    postgres: str, postgres_server: PostgresServer
) -> None:
    name = postgres.rpartition("/")[2]
    postgres_server.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with State.open(postgres) as state, state.database.reading() as connection:
        found = connection.execute("SELECT current_setting('synchronous_commit')").fetchone()
    assert found == ("on",)


PAUSED = """
import sys, time
from crosstower.serving.state.state import State

with State.open(sys.argv[1]) as state, state.database.writing() as connection:
    connection.execute("INSERT INTO item_changes (id) VALUES ('1')")
    print("within", flush=True)
    time.sleep(600)
"""


def test_a_process_that_is_paused_within_a_transaction_loses_its_turn(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = PAUSED.replace("import sys, time\n", "import sys, time\n" + SHORT)
    with subprocess.Popen([sys.executable, "-c", script, schema], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"within\n"
        other.send_signal(signal.SIGSTOP)
        with State.open(schema) as state:
            assert state.put_items([{"id": 2}], item="id") > 0
            assert [change.id for change in state.changes_after(0)] == [2]
        other.kill()


SHORT = """
from crosstower.serving.state import postgres_connection
postgres_connection._IN_TRANSACTION = 0.2
"""


class Replica:
    """A state that is followed through a proxy."""

    def __init__(self, own: OwnPostgres) -> None:
        self.proxy = TcpProxy(own.server.port)
        url = own.server.url().replace(str(own.server.port), str(self.proxy.port))
        self.state = State.open(f"{url}?statement_timeout=1")
        self.state.follow()

    def close(self) -> None:
        self.state.close()
        self.proxy.close()


@pytest.fixture
def replica(own_postgres: OwnPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replica]:
    monkeypatch.setattr(module, "_GRACE", 0.2)
    monkeypatch.setattr(follower_module, "_PAUSE", 0.05)
    found = Replica(own_postgres)
    yield found
    found.close()


def test_a_replica_hears_of_commits_and_sees_its_own_at_once(
    own_postgres: OwnPostgres, replica: Replica
) -> None:
    with State.open(own_postgres.server.url()) as other:
        before = replica.state.heads()
        assert replica.state.heads() is before
        sequence = other.put_items([{"id": 1}], item="id")
        until(lambda: replica.state.last_sequence() == sequence)
        for n in range(20):
            assert replica.state.put_items([{"id": n}], item="id") == replica.state.last_sequence()
        assert replica.state.behind() < SECONDS


def test_a_replica_without_a_database_reads_from_memory_and_refuses_writes(
    own_postgres: OwnPostgres, replica: Replica
) -> None:
    state = replica.state
    sequence = state.put_items([{"id": 1}], item="id")
    assert state.last_sequence() == sequence
    own_postgres.kill()
    until(lambda: state.behind() > 1.2)
    assert state.last_sequence() == sequence
    begin = time.monotonic()
    for _ in range(50):
        with pytest.raises(StateUnavailableError) as error:
            state.put_items([{"id": 2}], item="id")
        assert PASSWORD not in str(error.value)
    assert time.monotonic() - begin < SECONDS / 2  # it does not try to connect each time
    own_postgres.start()
    until(lambda: state.behind() < 1)
    assert state.put_items([{"id": 3}], item="id") > sequence
    assert [change.id for change in state.changes_after(0)] == [1, 3]


def until_refused(state: State) -> None:
    """Write until a write is refused."""
    for n in itertools.count():
        try:
            state.add_events(events(f"lost-{n}"))
        except StateUnavailableError:
            return


@pytest.mark.parametrize("mode", ["hold", "cut"])
def test_a_replica_that_is_cut_off_gives_up_and_comes_back(
    own_postgres: OwnPostgres, replica: Replica, mode: str
) -> None:
    state = replica.state
    first = state.put_items([{"id": 1}], item="id")
    assert state.last_sequence() == first
    if mode == "cut":
        replica.proxy.cut()
    else:
        replica.proxy.mode = "hold"
    until_refused(state)
    assert state.last_sequence() == first  # from memory
    with State.open(own_postgres.server.url()) as other:  # nobody waits for the lost one
        second = other.put_items([{"id": 2}], item="id")
    replica.proxy.cut()
    replica.proxy.mode = "forward"
    until(lambda: state.last_sequence() == second)
    assert state.put_items([{"id": 3}], item="id") > second


def test_a_lost_response_to_a_commit_is_no_acknowledgement(
    own_postgres: OwnPostgres, replica: Replica
) -> None:
    state = replica.state

    def write() -> None:
        with state.database.writing() as connection:
            connection.execute("INSERT INTO item_changes (id, item) VALUES ('1', NULL)")
            replica.proxy.mode = "hold"

    with pytest.raises(StateUnavailableError, match="this write may have been stored or not"):
        write()


def test_many_kills_of_the_server_lose_nothing_acknowledged(own_postgres: OwnPostgres) -> None:
    url, stored, over = own_postgres.server.url(), set[str](), threading.Event()
    State.open(url).close()

    def write(name: str) -> None:
        stems = (f"{name}-{n}" for n in itertools.count())
        while not over.is_set():
            with suppress(StateUnavailableError), State.open(url) as state:
                while not over.is_set():
                    stem = next(stems)
                    ids = [f"{stem}-{k}" for k in range(3)]
                    state.add_events(events(*ids))
                    stored.update(ids)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for _ in range(2):
        before = len(stored)
        until(lambda before=before: len(stored) > before + 30)
        own_postgres.kill()
        own_postgres.start()
    over.set()
    for thread in threads:
        thread.join()
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT event_id FROM crosstower.events").fetchall()
    found = {row[0] for row in rows}
    assert stored <= found
    whole = {event_id.rpartition("-")[0] for event_id in found}
    assert found == {f"{stem}-{k}" for stem in whole for k in range(3)}  # no half of a call


def test_a_database_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(StateUnavailableError, match=r"postgresql://me@127\.0\.0\.1:1/x") as error:
        State.open(f"postgresql://me:{PASSWORD}@127.0.0.1:1/x")
    assert PASSWORD not in f"{error.value}{error.value.__cause__}"


def test_a_parameter_that_libpq_does_not_know_is_named() -> None:
    with pytest.raises(ServeError, match='invalid URI query parameter: "sslmod"') as error:
        State.open(f"postgresql://me:{PASSWORD}@127.0.0.1:1/x?sslmod=require")
    assert PASSWORD not in str(error.value)


def test_a_closed_state_says_so(schema: str) -> None:
    state = State.open(schema)
    assert isinstance(state.database, PostgresDatabase)
    state.follow()
    state.close()
    with pytest.raises(ServeError, match="closed"):
        state.put_items([{"id": 1}], item="id")
