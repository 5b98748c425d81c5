"""Tokens and what they open."""

import pytest

from ..conftest import TOKENS, Start, event
from .client import problem


def test_tokens_open_what_they_are_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, token in TOKENS.items():
        monkeypatch.setenv(f"CROSSTOWER_{name.upper()}_TOKEN", f"other-token-of-sixteen {token}")
    client = start()
    asks = {
        "read": lambda h: client.post("/v1/recommend", json={"user": 1}, headers=h),
        "write": lambda h: client.post("/v1/events", json={"events": [event()]}, headers=h),
        "admin": lambda h: client.post("/v1/model", json={"path": "nowhere"}, headers=h),
    }
    for rank, name in enumerate(TOKENS):
        headers = {"Authorization": f"Bearer {TOKENS[name]}"}
        statuses = [asks[scope](headers).status_code for scope in TOKENS]
        allowed = [200, 200, 422][: rank + 1]
        assert statuses == [*allowed, *[403] * (2 - rank)]
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
        response = asks["read"](headers)
        assert "send one as Authorization" in problem(response, 401)["detail"]
        assert response.headers["www-authenticate"] == "Bearer"
    assert client.get("/metrics").status_code == 401
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/recommend"),
        ("POST", "/v1/rank"),
        ("PUT", "/v1/items"),
        ("POST", "/v1/events"),
        ("POST", "/v1/model"),
    ],
)
def test_a_token_is_asked_for_before_the_body_is_parsed(
    start: Start, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    for name, token in TOKENS.items():
        monkeypatch.setenv(f"CROSSTOWER_{name.upper()}_TOKEN", token)
    client = start()
    headers = {"content-type": "application/json"}
    response = client.request(method, path, content=b"no JSON", headers=headers)
    assert problem(response, 401)
    headers |= {"Authorization": f"Bearer {TOKENS['admin']}"}
    assert problem(client.request(method, path, content=b"no JSON", headers=headers), 400)
