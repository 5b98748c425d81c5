"""Checks of a SQL query and its connection in a recipe. No torch."""

from __future__ import annotations

import re

from crosstower.values.addresses.address import Address, Place
from crosstower.values.addresses.postgres_url import PostgresUrl

MEMORY = ":memory:"
_DUCKDB, _POSTGRES = "duckdb:///", ("postgresql://", "postgres://")
_NOT_CODE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_INNER = re.compile(r"\([^()]*\)")
_ORDER = re.compile(r"\border\s+by\b", re.IGNORECASE)


def is_ordered(query: str) -> bool:
    """Return whether a query orders its result; an order within parentheses does not count.

    >>> is_ordered("SELECT id FROM clicks ORDER BY time, id")
    True
    >>> is_ordered("SELECT id, rank() OVER (ORDER BY time) FROM clicks")
    False
    """
    rest, before = _NOT_CODE.sub(" ", query), ""
    while rest != before:
        rest, before = _INNER.sub(" ", rest), rest
    return _ORDER.search(rest) is not None


def check_query(query: str, connection: str | None) -> None:
    """Check a query and its connection.

    Args:
        query: SQL.
        connection: as the recipe has it.

    Raises:
        ValueError: there is no connection, it is of an unknown kind or holds a password, or the
            query states no order.

    """
    if connection is None:
        raise ValueError(
            "connection: missing; name the database of data.sql, as in duckdb:///clicks.db or"
            " postgresql://USER@HOST/DATABASE"
        )
    if not connection.startswith((_DUCKDB, *_POSTGRES)):
        kind = connection.partition(":")[0]
        raise ValueError(
            f"connection: expected duckdb:///FILE or postgresql://USER@HOST/DATABASE, got {kind}:…"
        )
    if connection.startswith(_POSTGRES) and _has_password(connection):
        raise ValueError(
            "connection: holds a password, which recipes and reports would show; remove it and set"
            " PGPASSWORD in the environment, or use ~/.pgpass"
        )
    if not is_ordered(query):
        raise ValueError(
            "sql: states no order, so that another run could get the rows in another one; end the"
            " query with ORDER BY and columns that are unique together"
        )


def database_of(connection: str) -> str | None:
    """Return the file of a connection to DuckDB; None of another database.

    >>> database_of("duckdb:///clicks.db"), database_of("postgresql://ana@host/shop")
    ('clicks.db', None)
    """
    return connection.removeprefix(_DUCKDB) if connection.startswith(_DUCKDB) else None


def anchored_connection(connection: str, folder: Place) -> str:
    """Return a connection whose file is absolute; relative ones start at a folder.

    >>> from pathlib import Path
    >>> anchored_connection("duckdb:///clicks.db", Path("/recipes"))
    'duckdb:////recipes/clicks.db'
    """
    file = database_of(connection)
    if file is None or file == MEMORY or isinstance(folder, Address):
        return connection
    return f"{_DUCKDB}{folder.absolute() / file}"


def _has_password(connection: str) -> bool:
    try:
        return bool(PostgresUrl.parse(connection).secrets)
    except ValueError:  # such as a password that contains '@'
        return True
