"""The OpenAPI document is made of the models of requests and responses."""

import json

from fastapi.testclient import TestClient


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
