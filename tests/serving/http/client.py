"""Requests of the tests, and their responses."""

from typing import Any

from fastapi.testclient import TestClient

from crosstower.serving.http.service import Service

LISTING = {"listing_id": 10**6, "city": "Atlantis", "price": 50.0, "amenities": ["wifi", "pool"]}


def service_of(client: TestClient) -> Service:
    return client.app.state.service  # type: ignore[attr-defined]


def ids(response: Any) -> list[Any]:
    return [item["item_id"] for item in response.json()["items"]]


def find(client: TestClient, where: str, k: int = 5) -> list[Any]:
    return ids(client.post("/v1/recommend", json={"user": 1, "k": k, "where": where}))


def problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert found["status"] == status
    assert found["title"]
    return found
