"""Settings of the server; tokens come from the environment only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from crosstower.errors import ServeError
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.recipe.frozen import FrozenModel, former_keys
from crosstower.serving.http.log_format import LogFormat
from crosstower.serving.state.address import StateAddress

VARIABLE = "CROSSTOWER_SERVE"
Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
WARMING = "crosstower.warming"  # key in the ASGI scope of warm-up requests, which are not counted
_LEAST_TOKEN = 16


RENAMED = {"waiting": "max_queue", "together": "max_batch_size", "seconds": "queue_timeout"}
"""New name by old name of a limit; the old ones work for one release."""


class Limits(FrozenModel):
    """Upper bounds of one request and of the load on one worker."""

    body_bytes: int = Field(default=1_000_000, ge=1_000)
    k: int = Field(default=1_000, ge=1)
    candidates: int = Field(default=5_000, ge=1)
    items: int = Field(default=1_000, ge=1)
    events: int = Field(default=1_000, ge=1)
    users: int = Field(default=1_000, ge=1)
    max_queue: int = Field(
        default=256, ge=1, description="Requests that may wait in a worker's queue."
    )
    max_batch_size: int = Field(
        default=8, ge=1, description="Waiting recommend requests that are processed as one batch."
    )
    queue_timeout: float = Field(
        default=10.0, gt=0, description="Seconds that a request may wait for its response."
    )
    wait_seconds: float = Field(
        default=0.6, gt=0, description="Expected wait above which requests are rejected."
    )
    connections: int = Field(default=1_000, ge=1, description="Open connections per worker.")
    headers: int = Field(default=100, ge=1)
    header_bytes: int = Field(default=32_768, ge=1_024)
    read_seconds: float = Field(
        default=15.0, gt=0, description="Time for a client to send a request or read its response."
    )
    max_staleness: float = Field(
        default=60.0,
        gt=0,
        description="Seconds without news of the state after which the server is not ready.",
    )
    state_bytes: int | None = Field(
        default=None,
        ge=1_000_000,
        description="Size of the state above which writes are rejected.",
    )

    _former = former_keys(RENAMED, where="limits")


class Shop(FrozenModel):
    """The shop page; its clicks are stored as events."""

    searches: tuple[str, ...] = Field(default=(), description="Examples of texts to search by.")


class Settings(FrozenModel):
    """Settings of a server: its bundle, its state, its address and its limits."""

    bundle: Path
    state: StateAddress
    temporary: Path | None = Field(
        default=None, description="Folder of only this server, if the state is not a folder."
    )
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    workers: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1, description="CPU threads per worker.")
    open: bool = Field(default=False, description="Serve other machines without tokens.")
    log: bool = Field(default=False, description="Log every list by default.")
    host_names: tuple[str, ...] = Field(
        default=(), description="Additional host names that clients may use, without tokens."
    )
    experiments: Experiments | None = Field(
        default=None, description="Read once, so that all workers have the same."
    )
    shop: Shop | None = Field(default=None, description="Show the shop page.")
    tracing: bool = Field(default=False, description="Export OpenTelemetry traces.")
    log_format: LogFormat = Field(default="text", description="json: one object per line.")
    limits: Limits = Limits()

    @property
    def folder(self) -> Path:
        """Folder for locks, metrics and the reason of a failed start.

        Raises:
            ServeError: the state is not a folder, and no other is given.

        """
        found = self.state if isinstance(self.state, Path) else self.temporary
        if found is None:
            raise ServeError("temporary: missing; a state in PostgreSQL needs a folder as well")
        return found

    def to_environment(self) -> None:
        """Store the settings in the environment, for the worker processes."""
        os.environ[VARIABLE] = self.model_dump_json()

    @staticmethod
    def from_environment() -> Settings:
        """Return the settings that `to_environment` stored.

        Raises:
            ServeError: there are none, because the app was not started by `crosstower serve`.

        """
        text = os.environ.get(VARIABLE)
        if text is None:
            raise ServeError(f"{VARIABLE} is not set; start the server with: crosstower serve DIR")
        return Settings.model_validate_json(text)


def tokens_of(environment: Mapping[str, str]) -> dict[Scope, tuple[str, ...]]:
    """Return the tokens per scope.

    They come from CROSSTOWER_READ_TOKEN, CROSSTOWER_WRITE_TOKEN and CROSSTOWER_ADMIN_TOKEN, each
    with one or more tokens separated by spaces.

    Raises:
        ServeError: a token is shorter than 16 characters or not printable ASCII.

    """
    found: dict[Scope, tuple[str, ...]] = {}
    for scope in SCOPES:
        name = f"CROSSTOWER_{scope.upper()}_TOKEN"
        tokens = tuple(environment.get(name, "").split())
        for token in tokens:
            if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable():
                raise ServeError(
                    f"{name}: expected at least {_LEAST_TOKEN} ASCII characters per token;"
                    " create one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
                )
        found[scope] = tokens
    return found


def check_open(settings: Settings, tokens: Mapping[Scope, tuple[str, ...]]) -> None:
    """Refuse to listen to other machines without tokens, unless `open` is set.

    Raises:
        ServeError: the host is not local, no token is set, and `open` is off.

    """
    local = settings.host in ("127.0.0.1", "::1", "localhost")
    if not local and not settings.open and not any(tokens.values()):
        raise ServeError(
            f"--host {settings.host}: no token is set, so other machines could read and change"
            " everything; set CROSSTOWER_READ_TOKEN, CROSSTOWER_WRITE_TOKEN and"
            " CROSSTOWER_ADMIN_TOKEN, or pass --open"
        )
