"""Errors as problem documents."""

import json

import pytest
from fastapi.testclient import TestClient

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
