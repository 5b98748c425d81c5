"""What a server is told at its start; tokens come from the environment alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from crosstower.errors import ServeError
from crosstower.recipe.frozen import FrozenModel

VARIABLE = "CROSSTOWER_SERVE"
Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
WARMING = "crosstower.warming"  # the key in a request's scope; such a request is not counted
_LEAST_TOKEN = 16


class Limits(FrozenModel):
    """What one request may ask for, and what a worker takes on."""

    body_bytes: int = Field(default=1_000_000, ge=1_000)
    k: int = Field(default=1_000, ge=1)
    candidates: int = Field(default=5_000, ge=1)
    items: int = Field(default=1_000, ge=1)
    events: int = Field(default=1_000, ge=1)
    waiting: int = Field(default=256, ge=1, description="Requests in the queue of a worker.")
    together: int = Field(
        default=8, ge=1, description="Waiting requests for lists that are answered as one."
    )
    seconds: float = Field(default=10.0, gt=0, description="Until a waiting request is given up.")
    wait_seconds: float = Field(
        default=0.6, gt=0, description="Expected wait above which a request is refused at once."
    )
    connections: int = Field(default=1_000, ge=1, description="Open connections of a worker.")
    headers: int = Field(default=100, ge=1)
    header_bytes: int = Field(default=32_768, ge=1_024)
    read_seconds: float = Field(
        default=15.0, gt=0, description="For a client to send a request, or to read its answer."
    )
    state_bytes: int | None = Field(
        default=None, ge=1_000_000, description="Of the state, above which events are refused."
    )


class Settings(FrozenModel):
    """A server: which bundle it starts with, where it keeps what it is told, what it allows."""

    bundle: Path
    state: Path
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    workers: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1, description="Of the matrix products of a worker.")
    open: bool = Field(default=False, description="Serve other machines without tokens.")
    host_names: tuple[str, ...] = Field(
        default=(), description="Further names that clients use, without tokens."
    )
    limits: Limits = Limits()

    def to_environment(self) -> None:
        """Leave it for the worker processes."""
        os.environ[VARIABLE] = self.model_dump_json()

    @staticmethod
    def from_environment() -> Settings:
        """Return what `to_environment` left.

        Raises:
            ServeError: nothing was left: the app was not started by the command.

        """
        text = os.environ.get(VARIABLE)
        if text is None:
            raise ServeError(f"{VARIABLE} is not set; start the server with: crosstower serve DIR")
        return Settings.model_validate_json(text)


def tokens_of(environment: Mapping[str, str]) -> dict[Scope, tuple[str, ...]]:
    """Return the tokens of each scope, several of one separated by spaces.

    They are in CROSSTOWER_READ_TOKEN, CROSSTOWER_WRITE_TOKEN and CROSSTOWER_ADMIN_TOKEN.

    Raises:
        ServeError: one is shorter than 16 characters or not of printable ASCII.

    """
    found: dict[Scope, tuple[str, ...]] = {}
    for scope in SCOPES:
        name = f"CROSSTOWER_{scope.upper()}_TOKEN"
        tokens = tuple(environment.get(name, "").split())
        for token in tokens:
            if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable():
                raise ServeError(
                    f"{name}: expected at least {_LEAST_TOKEN} printable ASCII characters a token;"
                    " make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
                )
        found[scope] = tokens
    return found


def check_open(settings: Settings, tokens: Mapping[Scope, tuple[str, ...]]) -> None:
    """Refuse to serve other machines without tokens, unless told so.

    Raises:
        ServeError: says how to do it.

    """
    local = settings.host in ("127.0.0.1", "::1", "localhost")
    if not local and not settings.open and not any(tokens.values()):
        raise ServeError(
            f"--host {settings.host}: other machines could read and change everything, as no token"
            " is set; set CROSSTOWER_READ_TOKEN, CROSSTOWER_WRITE_TOKEN and CROSSTOWER_ADMIN_TOKEN,"
            " or say --open"
        )
