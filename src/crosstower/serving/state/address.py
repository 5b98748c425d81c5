"""Addresses of states: a folder, or a schema of a PostgreSQL database."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from crosstower.errors import ServeError
from crosstower.values.addresses.postgres_url import PASSWORDS, PostgresUrl

_POSTGRES = re.compile(r"(postgresql|postgres):(//|/)")  # Path("a://b") is a:/b
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_HIDDEN = "***"


@dataclass(frozen=True, repr=False)
class PostgresAddress:
    """A schema of a PostgreSQL database; its text shows no password.

    Args:
        url: for libpq, with the password if one was given.
        schema: of the tables.
        pool_size: largest number of connections of a process that read and write; one more listens.
        statement_timeout: seconds that a statement may take.

    """

    url: str
    schema: str = "crosstower"
    pool_size: int = 4
    statement_timeout: float = 10.0

    @property
    def text(self) -> str:
        """The whole address, with its password: for processes that open it, never for people."""
        own = f"schema={self.schema}", f"pool_size={self.pool_size}"
        url, seconds = PostgresUrl.parse(self.url), f"statement_timeout={self.statement_timeout:g}"
        return str(replace(url, query=(*url.query, *own, seconds)))

    @property
    def has_password(self) -> bool:
        """Whether the address itself contains a password."""
        return bool(self._secrets())

    def hide(self, text: str) -> str:
        """Return a text without the passwords of the address."""
        for secret in self._secrets():
            text = text.replace(secret, _HIDDEN)
        return text

    def __str__(self) -> str:
        """Return the address without passwords, as `--state` takes it.

        >>> print(state_address("postgresql://me:secret@db.example:5432/shop?sslmode=require"))
        postgresql://me@db.example:5432/shop?sslmode=require&schema=crosstower
        """
        shown = PostgresUrl.parse(self.url).without(PASSWORDS)
        return str(replace(shown, query=(*shown.query, f"schema={self.schema}")))

    def __repr__(self) -> str:
        """Return the text without passwords."""
        return f"PostgresAddress({str(self)!r})"

    def _secrets(self) -> frozenset[str]:
        return PostgresUrl.parse(self.url).secrets


StateAddress = Path | PostgresAddress
"""Where the state of a server is."""


def state_address(given: str | StateAddress) -> StateAddress:
    """Return the address of a state.

    Args:
        given: a folder, or `postgresql://USER@HOST/DATABASE` with the parameters of libpq and our
            own: `schema` (crosstower), `pool_size` (4), `statement_timeout` (seconds, 10).

    Raises:
        ServeError: it is of another database, or a parameter is wrong; passwords are not shown.

    """
    if isinstance(given, PostgresAddress):
        return given
    text = f"{given}"
    if (scheme := _POSTGRES.match(text)) is not None:
        return _postgres(f"{scheme[1]}://{text[scheme.end() :]}")
    if (other := _SCHEME.match(text)) is not None:
        raise ServeError(
            f"--state: expected a folder or postgresql://USER@HOST/DATABASE, got {other[0]}..."
        )
    return Path(text)


def full_text(address: StateAddress) -> str:
    """Return the text that `state_address` reads as the same address, passwords included."""
    return address.text if isinstance(address, PostgresAddress) else str(address)


def _postgres(text: str) -> PostgresAddress:
    try:
        url = PostgresUrl.parse(text)
    except ValueError as error:
        raise ServeError(f"--state: {error}") from None
    given = [part.partition("=") for part in url.query]
    own = {name: unquote(value) for name, _, value in given if name in _PARAMETERS}
    read = {name: _PARAMETERS[name](value) for name, value in own.items()}
    return PostgresAddress(str(url.keeping(lambda name: name not in _PARAMETERS)), **read)


def _schema(value: str) -> str:
    if not _SCHEMA.fullmatch(value):
        raise ServeError(
            f"--state: schema: expected at most 63 of a-z, 0-9 and _ (not first a digit, nor pg_),"
            f" got {value!r:.80}"
        )
    return value


def _pool_size(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= 100:
        raise ServeError(f"--state: pool_size: expected a number from 1 to 100, got {value!r:.80}")
    return int(value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0.1 <= seconds <= 3600:
        raise ServeError(
            f"--state: statement_timeout: expected seconds from 0.1 to 3600, got {value!r:.80}"
        )
    return seconds


_PARAMETERS: dict[str, Callable[[str], Any]] = {
    "schema": _schema,
    "pool_size": _pool_size,
    "statement_timeout": _seconds,
}
