"""What every request and response passes."""

from types import SimpleNamespace

import httpx
import pytest
from fastapi.testclient import TestClient

from crosstower.serving.http.middleware import finished
from crosstower.serving.http.request_record import RequestRecord

from ..conftest import TOKENS, Start
from .client import problem


def test_a_large_body_is_refused_before_it_is_read(client: TestClient) -> None:
    ten_megabytes = b'{"user": "' + b"x" * 10_000_000 + b'"}'
    headers = {"content-type": "application/json"}
    response = client.post("/v1/recommend", content=ten_megabytes, headers=headers)
    assert "larger than 1,000,000 bytes" in problem(response, 413)["detail"]
    parts = (ten_megabytes[i : i + 65_536] for i in range(0, len(ten_megabytes), 65_536))
    problem(client.post("/v1/recommend", content=parts, headers=headers), 413)  # without a length
    assert client.post("/v1/recommend", json={"user": 1}).status_code == 200


def test_responses_cannot_be_framed_or_guessed(client: TestClient) -> None:
    response = client.get("/", headers={"X-Request-ID": "mine"})
    assert response.headers["x-request-id"] == "mine"
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert (
        len(client.get("/healthz", headers={"X-Request-ID": "a b"}).headers["x-request-id"]) == 32
    )
    assert client.get("/page/../service.py").status_code == 404


def test_a_long_path_of_the_page_is_not_found(client: TestClient) -> None:
    assert client.get(f"/page/{'x' * 300}").status_code == 404


@pytest.mark.parametrize(
    "user", [b"9" * 5_000, b"[" * 100_000 + b"]" * 100_000, b'"\xff"', b"\x1f\x8b\x08"], ids=len
)
def test_a_body_that_cannot_be_read_as_json_is_refused(client: TestClient, user: bytes) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    content = b'{"user": %b}' % user
    found = problem(client.post("/v1/recommend", content=content, headers=headers), 400)
    assert "the body" in found["detail"]
    assert "JSON" in found["detail"]


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


def test_the_route_of_a_record_is_a_template_and_never_client_input() -> None:
    scope = {"method": "GET", "path": "/v1/users/ann", "state": {"request_id": "r"}}
    assert finished(scope, 404, 0.1) == RequestRecord("GET", "none", 404, 0.1, "r")
    known = scope | {"route": SimpleNamespace(path="/v1/users")}
    assert finished(known, 200, 0.1).route == "/v1/users"
