"""Requests that attack one part at a time: conditions, bodies, rows, headers.

CROSSTOWER_FUZZ=N makes ten times N of each; none may be served with a 5xx but 503 and 507.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstower.serving.bundle import Bundle
from crosstower.serving.http.app import create_app
from crosstower.serving.http.settings import Settings

EXAMPLES = 10 * int(os.environ.get("CROSSTOWER_FUZZ", "12"))
many = settings(
    max_examples=EXAMPLES, derandomize=EXAMPLES == 120, suppress_health_check=list(HealthCheck)
)
NAMES = st.sampled_from(["city", "price", "amenities", "listing_id", "item_id", "town", "true"])
NUMBERS = st.one_of(
    st.integers(), st.floats(), st.integers(-(10**40), 10**40), st.just(2**63), st.just(10**400)
).map(str)
TEXTS = st.one_of(st.text(max_size=8), st.text("'\"\\\0\ud800\udfff\n{}", max_size=4))
VALUES = st.one_of(NUMBERS, TEXTS.map(repr), TEXTS.map(lambda t: f"'{t}'"), NAMES)
SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in", "is", "=", "+", "**"])
LISTS = st.lists(VALUES, max_size=4).map(lambda v: f"[{', '.join(v)}]")
CALLS = st.lists(VALUES, max_size=5).map(lambda v: f"distance_km({', '.join(v)})")
SIDES = st.one_of(VALUES, LISTS, CALLS, st.just("None"), st.just("[[1]]"), st.just("f'{city}'"))
TESTS = st.tuples(SIDES, SIGNS, SIDES).map(" ".join)
CONDITIONS = st.recursive(
    st.one_of(TESTS, NAMES),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or", "if", ""]), inner).map(" ".join),
        inner.map(lambda c: f"not ({c})"),
        st.tuples(inner, st.integers(1, 300)).map(lambda p: " and ".join([p[0]] * p[1])),
        st.tuples(st.sampled_from(["-", "~", "not ", "("]), st.integers(1, 1_900), inner).map(
            lambda p: p[0] * p[1] + p[2]
        ),
    ),
    max_leaves=5,
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.integers(-(10**30), 10**30)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(TEXTS | NAMES, inner, max_size=4)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["user", "query", "k", "where", "exclude", "candidates", "blend", "stages", "items", "rows",
     "history", "users", "text", "item", "events", "path", "x"]
)  # fmt: skip
CELLS = st.sampled_from(["user_id", "home_city", "budget", "wanted", "city", "price", "amenities"])
PATHS = st.sampled_from(
    ["POST /v1/recommend", "POST /v1/rank", "POST /v1/search", "POST /v1/similar",
     "POST /v1/events", "PUT /v1/users", "PUT /v1/items",
     "POST /v1/model", "GET /v1/model", "GET /page/x"]
)  # fmt: skip


@pytest.fixture(scope="module")
def client(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One worker for all cases."""
    state = tmp_path_factory.mktemp("fuzz") / "state"
    with pytest.MonkeyPatch.context() as patch:
        for scope in ("READ", "WRITE", "ADMIN"):
            patch.delenv(f"CROSSTOWER_{scope}_TOKEN", raising=False)
        app = create_app(Settings(bundle=bundle.folder, state=state))
        with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as started:
            yield started


def send(client: TestClient, what: str, content: bytes, headers: Any = ()) -> int:
    method, path = what.split()
    whole = [(b"content-type", b"application/json"), *headers]
    response = client.request(method, path, content=content, headers=whole)
    assert response.status_code < 500 or response.status_code in {503, 507}, response.text
    return response.status_code


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@many
@given(CONDITIONS, st.booleans())
def test_conditions(client: TestClient, where: str, popular: bool) -> None:
    body: dict[str, Any] = {"k": 3, "where": where} | ({} if popular else {"user": 1})
    send(client, "POST /v1/recommend", encoded(body))


@many
@given(PATHS, st.dictionaries(KEYS, JSON, max_size=4))
def test_bodies(client: TestClient, what: str, body: dict[str, Any]) -> None:
    send(client, what, encoded(body))


@many
@given(
    PATHS, st.binary(max_size=60) | st.text('[]{}",:0123456789eE+-.', max_size=60).map(str.encode)
)
def test_bodies_that_are_no_json(client: TestClient, what: str, content: bytes) -> None:
    send(client, what, content)


@pytest.mark.slow
@many
@given(
    st.lists(st.dictionaries(CELLS, JSON, max_size=7), min_size=1, max_size=4),
    st.dictionaries(CELLS, JSON, max_size=7),
    st.sampled_from(["rows", "items"]),
)
def test_rows(
    client: TestClient, rows: list[dict[str, Any]], query: dict[str, Any], kind: str
) -> None:
    if kind == "items":
        send(client, "PUT /v1/items", encoded({"items": [row | {"listing_id": 3} for row in rows]}))
    send(client, "POST /v1/rank", encoded({"rows": rows, "query": query}))
    send(client, "POST /v1/recommend", encoded({"user": 1, "query": query}))
    send(client, "POST /v1/rank", encoded({"items": [1, 2], "query": query}))


@many
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"host", b"origin", b"authorization", b"content-length", b"content-type",
                 b"x-request-id", b"transfer-encoding", b"cookie", b"expect", b"range"]
            ),
            st.binary(max_size=20) | st.sampled_from([b"-1", b"9" * 30, b"\xb2", b"null", b"[::1"]),
        ),
        max_size=4,
    ),
    PATHS,
)  # fmt: skip
def test_headers(client: TestClient, headers: list[tuple[bytes, bytes]], what: str) -> None:
    send(client, what, b'{"user": 1}', headers)


@pytest.mark.parametrize("depth", [10, 900, 20_000, 400_000])
@pytest.mark.parametrize("unit", ["[", '{"a":'])
def test_bodies_that_are_deep(client: TestClient, depth: int, unit: str) -> None:
    for what in ("POST /v1/recommend", "POST /v1/events", "POST /v1/rank"):
        assert 400 <= send(client, what, (unit * depth).encode()) < 500
        closing = {"[": "]", '{"a":': "}"}[unit]
        whole = unit * depth + "1" + closing * depth
        assert 400 <= send(client, what, f'{{"query": {whole}}}'.encode()) < 500
