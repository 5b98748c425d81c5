"""Errors as problem documents."""

import json

import pytest
from fastapi.testclient import TestClient

from crosstower.serving.http.problems import BUSY, refusal_bytes

from .client import problem


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{", 400, "not JSON"),
        ('{"user": 1, "k": NaN}', 422, "body.k"),
        ('{"user": 1, "query": {"budget": NaN}}', 422, "body.query"),
        ('{"user": 1, "query": {"budget": 1e999}}', 422, "body.query"),
        ('{"user": 1, "k": "ten"}', 422, "body.k"),
        ('{"user": 1, "k": 0}', 422, "greater than or equal to 1"),
        ('{"user": 1, "k": 51}', 422, "the number of candidates, got 51"),
        ('{"user": 1, "k": 1001}', 422, "at most 1,000"),
        ('{"user": 1, "candidates": 5001}', 422, "at most 5,000"),
        ('{"user": [1]}', 422, "body.user"),
        ('{"user": 1, "kk": 3}', 422, "body.kk"),
        ('{"user": 1, "where": "colour == 1"}', 422, "no column 'colour'"),
        ('{"user": 1, "where": "__import__(\'os\')"}', 422, "filter"),
        ('{"user": 1, "query": {"home_town": "x"}}', 422, "did you mean 'home_city'"),
        ('{"user": 1, "blend": {"weights": {"clicks": 1}}}', 422, "did you mean 'click'"),
        ('{"user": 1, "blend": {"weights": {"click": 1e999}}}', 422, "body.blend.weights.click"),
        ('{"user": 1, "blend": {"transform": "root"}}', 422, "body.blend.transform"),
        ("[]", 422, "body"),
        ("", 422, "body"),
    ],
)
def test_bad_requests_are_refused_in_words(
    client: TestClient, body: str, status: int, words: str
) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/v1/recommend", content=body, headers=headers)
    assert words in json.dumps(problem(response, status), ensure_ascii=False)


def test_other_ways_to_be_wrong(client: TestClient) -> None:
    problem(client.get("/v1/nothing"), 404)
    assert problem(client.get("/v1/recommend"), 405)
    form = client.post("/v1/recommend", data={"user": 1})
    problem(form, 422)
    latin = client.post(
        "/v1/recommend", content=b'{"user": "\xff"}', headers={"content-type": "application/json"}
    )
    problem(latin, 400)


def parsed(response: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize("status", [408, 431, 503])
def test_the_body_is_a_problem_of_its_stated_length(status: int) -> None:
    line, headers, body = parsed(refusal_bytes(status, BUSY))
    assert line.startswith(f"HTTP/1.1 {status} ")
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["content-length"]) == len(body)
    problem = json.loads(body)
    assert (problem["status"], problem["detail"]) == (status, BUSY)
    assert line.endswith(problem["title"])


def test_only_a_busy_server_says_when_to_come_again() -> None:
    assert parsed(refusal_bytes(503, "x"))[1]["retry-after"] == "1"
    assert "retry-after" not in parsed(refusal_bytes(431, "x"))[1]


def test_the_end_of_a_connection_is_said() -> None:
    assert parsed(refusal_bytes(408, "x", close=True))[1]["connection"] == "close"
    assert "connection" not in parsed(refusal_bytes(408, "x"))[1]


def test_an_unknown_key_is_refused_with_the_nearest_one(client: TestClient) -> None:
    for body, words in (
        ({"usr": 1}, "did you mean 'user'?; allowed: user, query"),
        ({"blend": {"wieghts": {}}}, "did you mean 'weights'?"),
        (
            {"rules": {"pin": [{"item": 1, "at": 1, "att": 2}]}},
            "did you mean 'at'?; allowed: item, at",
        ),
    ):
        detail = client.post("/v1/recommend", json=body).json()["detail"]
        assert words in detail, detail


def test_a_wrong_element_is_not_also_a_list_that_is_too_short(client: TestClient) -> None:
    wrong = problem(client.post("/v1/events", json={"events": [{"type": "click"}]}), 422)
    assert [one["where"] for one in wrong["errors"]] == ["body.events.0.event_id"]
    assert "more" not in wrong["detail"]
    empty = problem(client.post("/v1/events", json={"events": []}), 422)
    assert [one["where"] for one in empty["errors"]] == ["body.events"]
    users = problem(client.put("/v1/users", json={"users": ["a", 7]}), 422)
    assert [one["where"] for one in users["errors"]] == ["body.users.0", "body.users.1"]
