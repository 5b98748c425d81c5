"""The schema of a state in PostgreSQL: created if it is missing, an error if it differs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from crosstower.errors import ServeError
from crosstower.serving.state.address import PostgresAddress
from crosstower.serving.state.database import FORMAT
from crosstower.serving.state.dialect import postgres_sql
from crosstower.storage.limited_connection import LimitedConnection

_NAME = re.compile(r"CREATE (?:TABLE|INDEX) IF NOT EXISTS (\w+)")
_META = b"CREATE TABLE meta (format BIGINT NOT NULL, commits BIGINT NOT NULL)"
_LOCK = b"SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_RELATIONS = (
    b"SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    b" WHERE n.nspname = %s"
)


def prepare_schema(
    raw: LimitedConnection,
    address: PostgresAddress,
    tables: Sequence[str],
    *,
    existing: bool = False,
) -> None:
    """Check the format of a schema, and create missing tables; one process at a time.

    A role that may not create anything can use a schema that is complete.

    Args:
        raw: a connection.
        address: of the schema.
        tables: statements that make the tables and indexes.
        existing: refuse a schema that no server has written.

    Raises:
        ServeError: it is of something else or of a newer format, or its texts are limited.

    """
    with raw.transaction():
        raw.execute(_LOCK, (f"crosstower/{address.schema}",))
        _check_encoding(raw, address)
        there = {row[0] for row in raw.execute(_RELATIONS, (address.schema,)).fetchall()}
        if "meta" in there:
            _check_format(raw, address)
        elif existing:
            raise ServeError(
                f"{address}: not the state of a server; give the address of crosstower serve"
                " --state"
            )
        elif there:
            raise ServeError(f"{address}: is not the state of a server; choose another schema")
        else:
            _create(raw, address.schema)
        if not {_NAME.findall(statement)[0] for statement in tables} <= there:
            for statement in tables:
                raw.execute(postgres_sql(statement).encode())


def _create(raw: LimitedConnection, schema: str) -> None:
    found = raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
    if found is None:
        raw.execute(f'CREATE SCHEMA "{schema}"'.encode())
    raw.execute(_META)
    raw.execute("INSERT INTO meta VALUES (%s, 0)", (FORMAT,))


def _check_encoding(raw: LimitedConnection, address: PostgresAddress) -> None:
    found = raw.execute("SELECT current_setting('server_encoding')").fetchone()
    if found is not None and found[0] != "UTF8":
        raise ServeError(
            f"{address}: the database has the encoding {found[0]}, which cannot hold all texts;"
            " create one with ENCODING 'UTF8'"
        )


def _check_format(raw: LimitedConnection, address: PostgresAddress) -> None:
    stored = raw.execute("SELECT format FROM meta").fetchone()
    if stored is None:
        raise ServeError(
            f"{address}: is damaged: its format is missing; restore a backup, or choose another"
            " schema"
        )
    if stored[0] != FORMAT:
        raise ServeError(
            f"{address}: has format {stored[0]}, this version of Crosstower reads {FORMAT}; use the"
            " version that wrote it, or another schema"
        )
