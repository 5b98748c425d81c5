"""Host names that a server without tokens serves."""

import httpx
import pytest
from fastapi.testclient import TestClient

from ..conftest import TOKENS, Start
from .client import problem

FOREIGN = (
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:8000",
    "[::2]",
    "::",
    "",
    "evil.example@localhost",
    "localhost/evil.example",
)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_is_refused_without_tokens(client: TestClient, host: str) -> None:
    for path in ("/", "/v1/model", "/metrics", "/healthz", "/page/app.js"):
        response = client.get(path, headers={"Host": host})
        assert "this host name is not served" in problem(response, 421)["detail"]


def test_a_page_of_another_site_is_refused_without_tokens(client: TestClient) -> None:
    for origin in ("http://evil.example", "null", "http://localhost.evil.example", "file://"):
        response = client.post("/v1/recommend", json={"user": 1}, headers={"Origin": origin})
        assert "pages of other sites" in problem(response, 403)["detail"]
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert client.post("/v1/recommend", json={"user": 1}, headers=headers).status_code == 200


def test_several_hosts_or_origins_are_refused_without_tokens(client: TestClient) -> None:
    local, evil = (b"host", b"127.0.0.1"), (b"host", b"evil.example")
    for pair in ([local, evil], [evil, local]):
        response = client.get("/v1/model", headers=httpx.Headers(pair))
        assert "this host name is not served" in problem(response, 421)["detail"]
    origins = httpx.Headers([(b"origin", b"http://localhost"), (b"origin", b"http://evil.example")])
    assert problem(client.get("/v1/model", headers=origins), 403)


def test_with_tokens_any_host_is_served(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSTOWER_READ_TOKEN", TOKENS["read"])
    headers = {"Host": "shop.example", "Authorization": f"Bearer {TOKENS['read']}"}
    assert start().post("/v1/recommend", json={"user": 1}, headers=headers).status_code == 200
