"""Connections to a real PostgreSQL, lost and refused ones included."""

import threading

import psycopg
import pytest

from crosstower.errors import QueryError, RunError, ServeError
from crosstower.retrieval.index import pgvector_session
from crosstower.retrieval.index.pgvector_session import (
    URL,
    Session,
    chosen_url,
    without_secrets,
)

from ...fixtures.postgres import PASSWORD


def test_a_lost_connection_is_opened_again_for_reads(postgres: str) -> None:
    session = Session(postgres)
    before = session.run(lambda c: c.execute("SELECT pg_backend_pid()").fetchone()[0])

    def lose() -> None:
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [before])

    lose()
    after = session.run(lambda c: c.execute("SELECT pg_backend_pid()").fetchone()[0], again=True)
    assert after != before
    session.close()


def test_a_write_on_a_lost_connection_is_not_repeated(postgres: str) -> None:
    session, calls = Session(postgres), list[int]()
    session.run(lambda c: c.execute("CREATE TABLE t (x int)"))

    def cut(cursor: psycopg.Cursor[tuple[int]]) -> None:
        calls.append(1)
        cursor.execute("INSERT INTO t VALUES (1)")
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(ServeError, match="terminating connection"):
        session.run(cut)
    assert calls == [1]
    assert session.run(lambda c: c.execute("SELECT count(*) FROM t").fetchone()[0]) == 0
    session.close()


def test_an_unreachable_database_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"postgresql://ann:{PASSWORD}@127.0.0.1:1/shop?connect_timeout=2"
    session = Session(url)
    with pytest.raises(ServeError, match=r"ann@127\.0\.0\.1:1/shop.*see its server") as error:
        session.run(lambda c: c.execute("SELECT 1"))
    assert PASSWORD not in str(error.value)
    with pytest.raises(ServeError, match="failed a moment ago"):  # without waiting again
        session.run(lambda c: c.execute("SELECT 1"), again=True)
    monkeypatch.setattr(pgvector_session, "_PAUSE_SECONDS", 0.0)
    session._paused_until = 0.0
    with pytest.raises(ServeError, match="connection failed"):
        session.run(lambda c: c.execute("SELECT 1"))
    with pytest.raises(QueryError, match="cannot be read; expected postgresql://USER") as wrong:
        Session(f"postgresql://ann:{PASSWORD}@h/db?nonsense=1").run(lambda c: None)
    assert PASSWORD not in str(wrong.value)


def test_a_wrong_password_is_not_shown(postgres: str) -> None:
    session = Session(postgres.replace(PASSWORD, "wrong-passphrase"))
    with pytest.raises(ServeError, match="authentication failed") as error:
        session.run(lambda c: c.execute("SELECT 1"))
    assert "wrong-passphrase" not in str(error.value)


def test_one_session_serves_several_threads(postgres: str) -> None:
    session, found = Session(postgres), list[int]()

    def ask(number: int) -> None:
        found.append(session.run(lambda c: c.execute("SELECT %s::int", [number]).fetchone()[0]))

    threads = [threading.Thread(target=ask, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(8))
    session.close()


def test_an_old_pgvector_is_refused(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Session(postgres).run(lambda c: None)  # creates the extension
    monkeypatch.setattr(pgvector_session, "_OLDEST", (99, 0))
    with pytest.raises(RunError, match="is too old, expected 0"):
        Session(postgres).run(lambda c: None)


def test_a_user_who_may_not_add_pgvector_is_told_who_may(postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS plain")
        admin.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    plain = postgres.replace(f"crosstower:{PASSWORD}", "plain:plain")
    try:
        with pytest.raises(RunError, match=r"has no pgvector.*administrator adds it with: CREATE"):
            Session(plain).run(lambda c: None)
    finally:
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute("DROP ROLE plain")


def test_addresses_are_chosen_and_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL, raising=False)
    with pytest.raises(QueryError, match="set CROSSTOWER_PGVECTOR_URL=postgresql://"):
        chosen_url(None)
    with pytest.raises(QueryError, match="got the scheme 'mysql'"):
        chosen_url("mysql://a:b@c/d")
    assert chosen_url("postgresql://one/db") == "postgresql://one/db"
    monkeypatch.setenv(URL, "postgres://two/db")
    assert chosen_url("postgresql://one/db") == "postgres://two/db"
    secret = "postgresql://a:p%40ss@h1:1,h2:2/d?sslpassword=x&application_name=y"
    assert without_secrets(secret) == "postgresql://a@h1:1,h2:2/d?application_name=y"
    assert without_secrets("postgresql://a:p#q?r@h/d") == "postgresql://a@h/d"
    monkeypatch.setenv(URL, "postgresql://a:p@q@h/d")
    with pytest.raises(QueryError, match="write them as %40 and %2F"):
        chosen_url(None)


def test_without_a_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr(pgvector_session.importlib, "import_module", missing)
    with pytest.raises(QueryError, match=r"package psycopg.*crosstower\[postgres\]"):
        Session("postgresql://h/d")
