"""Addresses of PostgreSQL, split as libpq splits them, and their text without passwords.

A password in such an address may contain `#`, `?` or `[`, which `urllib.parse.urlsplit` reads
otherwise: it would take a part of the password for the host, and messages would show it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

PASSWORDS = frozenset({"password", "sslpassword", "oauth_client_secret"})
"""Parameters that are secret."""

_PARTS = re.compile(
    r"(?P<scheme>postgres(?:ql)?)://(?:(?P<user>[^:@/]*)(?::(?P<password>[^@/]*))?@)?"
    r"(?P<place>[^?]*)(?:\?(?P<query>.*))?",
    re.DOTALL,
)


@dataclass(frozen=True, repr=False)
class PostgresUrl:
    """The parts of `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?NAME=VALUE&…`, still encoded.

    Args:
        scheme: postgresql or postgres.
        user: None if the address names none there.
        password: None if there is none.
        place: hosts, ports and the database.
        query: `NAME=VALUE` of each parameter.

    """

    scheme: str
    user: str | None
    password: str | None
    place: str
    query: tuple[str, ...] = ()

    @staticmethod
    def parse(text: str) -> PostgresUrl:
        """Split an address.

        >>> PostgresUrl.parse("postgresql://ann:a#b?c@db:5432/shop?sslmode=require").place
        'db:5432/shop'

        Raises:
            ValueError: it is not a PostgreSQL address, or its login cannot be told from the host;
                the message shows nothing of it.

        """
        found = _PARTS.fullmatch(text)
        if found is None:
            raise ValueError("expected postgresql://USER@HOST:5432/DATABASE")
        if "@" in found["place"]:
            raise ValueError(
                "a user or password contains '@' or '/'; write them as %40 and %2F, or set"
                " PGPASSWORD instead"
            )
        query = tuple(part for part in (found["query"] or "").split("&") if part)
        return PostgresUrl(found["scheme"], found["user"], found["password"], found["place"], query)

    @property
    def names(self) -> frozenset[str]:
        """Names of the parameters."""
        return frozenset(_name(part) for part in self.query)

    @property
    def secrets(self) -> frozenset[str]:
        """Passwords in the address, as they are written and as they are meant."""
        found = [part.partition("=")[2] for part in self.query if _name(part).lower() in PASSWORDS]
        written = [secret for secret in (self.password, *found) if secret]
        return frozenset(written) | frozenset(unquote(secret) for secret in written)

    def without(self, names: frozenset[str]) -> PostgresUrl:
        """Return the address without its password and without some parameters."""
        return replace(self.keeping(lambda name: name.lower() not in names), password=None)

    def keeping(self, wanted: Callable[[str], bool]) -> PostgresUrl:
        """Return the address with only the parameters whose name is wanted."""
        return replace(self, query=tuple(part for part in self.query if wanted(_name(part))))

    def __str__(self) -> str:
        """Return the whole address, passwords included."""
        secret = "" if self.password is None else f":{self.password}"
        login = "" if self.user is None else f"{self.user}{secret}@"
        query = f"?{'&'.join(self.query)}" if self.query else ""
        return f"{self.scheme}://{login}{self.place}{query}"

    def __repr__(self) -> str:
        """Return the address without passwords."""
        return f"PostgresUrl({str(self.without(PASSWORDS))!r})"


def _name(part: str) -> str:
    return unquote(part.partition("=")[0])
