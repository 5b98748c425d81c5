import asyncio

import pytest
from fastapi.testclient import TestClient

from crosstower.serving.http.warming import warm_up

from ..conftest import TOKENS, Start


@pytest.fixture(params=["open", "tokens"])
def client(
    request: pytest.FixtureRequest, start: Start, monkeypatch: pytest.MonkeyPatch
) -> TestClient:
    """A worker, open or with tokens."""
    if request.param == "tokens":
        for name, token in TOKENS.items():
            monkeypatch.setenv(f"CROSSTOWER_{name.upper()}_TOKEN", token)
    return start()


def test_a_worker_has_served_before_it_is_ready_and_does_not_count_it(
    client: TestClient,
) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    portal = client.portal
    assert portal is not None
    assert portal.call(warm_up, client.app, service) == 200
    assert not service.warming
    headers = {"Authorization": f"Bearer {TOKENS['read']}"}
    text = client.get("/metrics", headers=headers).text
    assert 'route="/v1/recommend"' not in text
    assert 'stage="rank"' not in text
    client.post("/v1/recommend", json={"user": 1}, headers=headers)
    text = client.get("/metrics", headers=headers).text
    assert 'crosstower_requests_total{route="/v1/recommend",status="200"} 1.0' in text


def test_a_start_warms_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []

    async def noted(app: object, _service: object) -> int:
        called.append(app)
        await asyncio.sleep(0)
        return 200

    monkeypatch.setattr("crosstower.serving.http.app.warm_up", noted)
    assert called == [start().app]
