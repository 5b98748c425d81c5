"""The OpenAPI document is made of the models of requests and responses."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from crosstower.serving.http.schemas import RecommendRequest


def test_the_document_describes_every_response(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/recommend", "/v1/rank", "/v1/search", "/v1/similar", "/v1/items", "/v1/events",
        "/v1/model", "/v1/users", "/v1/vectors", "/v1/versions", "/v1/experiments",
        "/v1/experiments/report", "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    recommend = document["paths"]["/v1/recommend"]["post"]
    assert "application/problem+json" in recommend["responses"]["422"]["content"]
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in json.dumps(document)


@pytest.mark.parametrize("time", [None, 1_700_000_000, "2026-01-31T18:30:00", "soon"])
def test_each_time_of_a_history_is_a_time_with_a_zone(time: Any) -> None:
    good = {"history": ["a"], "history_times": ["2026-01-31T18:30:00Z"]}
    assert RecommendRequest.model_validate(good).history_times is not None
    with pytest.raises(ValidationError, match=r"history_times\.0"):
        RecommendRequest.model_validate(good | {"history_times": [time]})
