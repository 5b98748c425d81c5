import threading

import psycopg
import pytest

from crosstower.errors import ServeError
from crosstower.serving.state.state import State

from ...fixtures.postgres import PASSWORD, PostgresServer


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE meta SET format = 2", "has format 2, this version of Crosstower reads 1; use"),
        ("DELETE FROM meta", "is damaged: its format is missing"),
        ("DROP TABLE meta", "is not the state of a server; choose another schema"),
    ],
)
def test_another_format_is_refused(schema: str, statement: str, words: str) -> None:
    State.open(schema).close()
    run(schema, statement)
    with pytest.raises(ServeError, match=words) as error:
        State.open(schema)
    assert PASSWORD not in str(error.value)


def test_servers_that_start_at_once_make_one_schema(schema: str) -> None:
    faults = list[Exception]()

    def start() -> None:
        try:
            with State.open(schema) as state:
                state.set_bundle("/b")
        except ServeError as error:
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with State.open(schema) as state:
        assert state.bundle()[0] == 6


def test_several_deployments_share_a_database(schema: str, postgres_server: PostgresServer) -> None:
    other = f"{schema}_b"
    try:
        with State.open(schema) as ours, State.open(other) as theirs:
            ours.put_items([{"id": 1}], item="id")
            assert (ours.last_sequence(), theirs.last_sequence()) == (1, 0)
    finally:
        postgres_server.execute(f"DROP SCHEMA {other.rpartition('=')[2]} CASCADE")


def test_a_role_that_may_only_write_rows_can_use_a_complete_schema(
    schema: str, postgres_server: PostgresServer
) -> None:
    State.open(schema).close()
    name = schema.rpartition("=")[2]
    role = f"role_{name}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    try:
        postgres_server.execute(f"GRANT USAGE ON SCHEMA {name} TO {role}")
        rights = "SELECT, INSERT, UPDATE, DELETE"
        postgres_server.execute(f"GRANT {rights} ON ALL TABLES IN SCHEMA {name} TO {role}")
        limited = schema.replace("//crosstower:", f"//{role}:")
        with State.open(limited) as state:
            assert state.put_users({1: {"a": 1}}) == 1
            with pytest.raises(ServeError, match="nothing was erased; GRANT MAINTAIN ON events"):
                state.erase_users([1])
            postgres_server.execute(f"GRANT MAINTAIN ON {name}.events, {name}.users TO {role}")
            assert state.erase_users([1]) == (1, 0)
        absent = f"{limited}_c"
        with pytest.raises(ServeError, match="cannot be used: permission denied for database"):
            State.open(absent)
    finally:
        postgres_server.execute(f"DROP OWNED BY {role}")
        postgres_server.execute(f"DROP ROLE {role}")


def test_a_database_that_cannot_hold_all_texts_is_refused(postgres_server: PostgresServer) -> None:
    options = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    postgres_server.execute(f"CREATE DATABASE latin {options}")
    try:
        with pytest.raises(ServeError, match="has the encoding LATIN1, which cannot hold"):
            State.open(postgres_server.url("latin"))
    finally:
        postgres_server.execute("DROP DATABASE latin WITH (FORCE)")


def run(schema: str, statement: str) -> None:
    """Run a statement in the schema of an address."""
    url, _, name = schema.partition("?schema=")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {name}".encode())
        connection.execute(statement.encode())
