"""Workers serve the version that was published last; one that cannot be served is withdrawn."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.http import bundle_retries
from crosstower.serving.retraining.rollback import roll_back
from crosstower.serving.state.state import State

from ...fixtures.funnels import Runs
from ..conftest import Start
from ..processes import serving
from .client import LISTING, service_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fresh(blended: Runs, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Another bundle of the same runs, with another version."""
    folder = tmp_path_factory.mktemp("versions") / "0001" / "bundle"
    return make_bundle([blended.retrieval, blended.ranking], folder, candidates=20)


def publish(client: TestClient, number: int, path: Path, **facts: int) -> None:
    """Publish a version as a retraining does: in the state, from another process."""
    settings = service_of(client).settings
    with State.open(settings.state) as state:
        made = state.versions.publish(
            number,
            path,
            base=Bundle.open(settings.bundle, check=False).version,
            detail={"facts": facts},
            instead_of=state.bundle(),
        )
    assert made is not None


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def number(client: TestClient) -> int | None:
    found: int | None = client.get("/v1/model").json()["number"]
    return found


def test_every_worker_follows_a_published_version(home: str, start: Start, fresh: Bundle) -> None:
    workers = [start(state=home), start(state=home)]
    assert [number(one) for one in workers] == [0, 0]
    publish(workers[0], 1, fresh.folder)
    for one in workers:
        until(lambda one=one: number(one) == 1)
        assert one.get("/v1/model").json()["version"] == fresh.version
        response = one.post("/v1/recommend", json={"user": 3})
        assert response.json()["version"] == fresh.version
    found = workers[1].get("/v1/versions").json()
    assert (found["live"], [v["number"] for v in found["versions"]]) == (1, [1, 0])
    assert found["versions"][0]["live"] is True


def test_a_swap_by_path_has_no_number(start: Start, fresh: Bundle) -> None:
    client = start()
    client.post("/v1/model", json={"path": str(fresh.folder)})
    assert number(client) is None
    assert client.get("/v1/versions").json()["live"] is None
    settings = service_of(client).settings
    client.post("/v1/model", json={"path": str(settings.bundle)})
    assert number(client) == 0


def test_a_version_that_cannot_be_served_is_withdrawn(
    home: str, start: Start, fresh: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_retries, "_PATIENCE", 1.5)
    damaged = Path(shutil.copytree(fresh.folder, tmp_path / "0002" / "bundle"))
    weights = next(damaged.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    workers = [start(state=home), start(state=home)]
    publish(workers[0], 1, fresh.folder)
    until(lambda: [number(one) for one in workers] == [1, 1])
    publish(workers[0], 2, damaged)
    until(lambda: workers[0].get("/v1/versions").json()["versions"][0]["verdict"] == "withdrawn")
    for one in workers:
        until(lambda one=one: one.get("/v1/versions").json()["live"] == 1)
        assert number(one) == 1
        assert one.post("/v1/recommend", json={"user": 3}).json()["version"] == fresh.version
    second = workers[1].get("/v1/versions").json()["versions"][0]
    assert (second["number"], second["live"]) == (2, False)
    assert "cut short" in second["reasons"][0]


def test_items_that_a_version_was_built_with_are_not_applied_again(
    start: Start, fresh: Bundle
) -> None:
    client = start()
    more = [{**LISTING, "listing_id": 10**6 + n} for n in range(3)]
    sequence = client.put("/v1/items", json={"items": more[:2]}).json()["sequence"]
    client.put("/v1/items", json={"items": more[2:]})
    assert client.get("/v1/model").json()["newer_items"] == 3
    publish(client, 1, fresh.folder, items=sequence)
    until(lambda: number(client) == 1)
    assert client.get("/v1/model").json()["newer_items"] == 1


def test_a_killed_server_comes_back_with_the_version_that_was_live(
    bundle: Bundle, fresh: Bundle, tmp_path: Path
) -> None:
    base, folder = bundle.folder, tmp_path / "state"
    with serving(base, folder, "--workers", "2") as server, State.open(folder) as state:
        made = state.versions.publish(
            1, fresh.folder, base=bundle.version, detail={}, instead_of=state.bundle()
        )
        assert made is not None
        server.kill()
    with serving(base, folder) as server, server.client() as client:
        assert client.get("/v1/model").json()["number"] == 1
        found = client.post("/v1/recommend", json={"user": 3}).json()
        assert found["version"] == fresh.version
        with State.open(folder) as state:
            roll_back(state, base)
        until(lambda: client.get("/v1/model").json()["number"] == 0)
    with serving(base, folder) as server, server.client() as client:
        assert client.get("/v1/model").json()["number"] == 0
