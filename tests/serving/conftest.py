import itertools
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from crosstower.evaluation.experiments.experiment_file import load_experiments
from crosstower.serving.bundle import Bundle
from crosstower.serving.http.app import create_app
from crosstower.serving.http.settings import Limits, Settings
from crosstower.serving.state.address import PostgresAddress, state_address

from ..fixtures.postgres import PostgresServer

TOKENS = {name: f"{name}-token-0123456789" for name in ("read", "write", "admin")}
Start = Callable[..., TestClient]


@pytest.fixture
def schema(postgres_server: PostgresServer) -> Iterator[str]:
    """Address of a new schema."""
    name = f"t_{secrets.token_hex(6)}"
    yield f"{postgres_server.url()}?schema={name}"
    postgres_server.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a new state, in each kind of database."""
    if request.param == "postgresql":
        return request.getfixturevalue("schema")
    return str(tmp_path / "home")


@pytest.fixture
def start(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a worker in this process, as often as wanted; all share one state."""
    clients: list[TestClient] = []
    for name in TOKENS:
        monkeypatch.delenv(f"CROSSTOWER_{name.upper()}_TOKEN", raising=False)

    def started(
        folder: Path = bundle.folder,
        *,
        state: str = "state",
        experiments: Path | None = None,
        **limits: Any,
    ) -> TestClient:
        address = state_address(state)
        shared = isinstance(address, PostgresAddress)
        settings = Settings(
            bundle=folder,
            state=address if shared else tmp_path / state,
            temporary=tmp_path if shared else None,
            experiments=None if experiments is None else load_experiments(experiments),
            limits=Limits(**limits),
        )
        app = create_app(settings)
        client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield started
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(start: Start) -> TestClient:
    """A worker that serves the rentals."""
    return start()


_EVENTS = itertools.count()


def event(**more: Any) -> dict[str, Any]:
    """An event that was not there before."""
    return {"event_id": f"e{next(_EVENTS)}", "type": "click", "user": 1, "item_id": 7} | more
