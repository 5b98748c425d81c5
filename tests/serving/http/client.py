"""Requests of the tests, and their answers."""

from typing import Any

from fastapi.testclient import TestClient

from crosstower.serving.http.service import Service

LISTING = {"listing_id": 10**6, "city": "Atlantis", "price": 50.0, "amenities": ["wifi", "pool"]}


def service_of(client: TestClient) -> Service:
    return client.app.state.service  # type: ignore[attr-defined]


def ids(answer: Any) -> list[Any]:
    return [item["item_id"] for item in answer.json()["items"]]


def find(client: TestClient, where: str, k: int = 5) -> list[Any]:
    return ids(client.post("/v1/recommend", json={"user": 1, "k": k, "where": where}))


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    assert found["title"]
    return found
