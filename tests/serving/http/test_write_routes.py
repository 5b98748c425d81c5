"""Routes that write: items and events."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from crosstower.serving.state.event_export import export_events

from ..conftest import event
from .client import LISTING, find, problem, service_of


def test_a_bad_item_is_refused_whole(client: TestClient) -> None:
    bad = {**LISTING, "listing_id": 3, "price": "dear"}
    found = problem(client.put("/v1/items", json={"items": [LISTING, bad]}), 422)
    assert "items[1]" in found["detail"]
    assert "'price' must be Float64, got 'dear'" in found["detail"]
    assert find(client, "city == 'Atlantis'") == []
    problem(client.delete("/v1/items"), 422)
    problem(client.put("/v1/items", json={"items": []}), 422)


@pytest.mark.parametrize("given", ["x", "true", "7.5", str(2**63)])
def test_a_text_is_no_id_among_integers(client: TestClient, given: str) -> None:
    before = service_of(client).state.last_sequence()
    put = client.put("/v1/items", json={"items": [{**LISTING, "listing_id": given}]})
    deleted = client.delete("/v1/items", params={"id": [3, given]})
    for response, name in ((put, "items[0]: 'listing_id'"), (deleted, "id")):
        words = f"{name} must be an integer, like all item ids here, got '{given}'"
        assert problem(response, 422)["detail"] == words
    assert service_of(client).state.last_sequence() == before
    assert client.post("/v1/rank", json={"items": [3]}).json()["unknown"] == []


def test_an_empty_id_is_refused(client: TestClient) -> None:
    before = service_of(client).state.last_sequence()
    detail = problem(client.delete("/v1/items?id="), 422)["detail"]
    assert detail == "id: expected an id, an integer or a text, got ''"
    assert service_of(client).state.last_sequence() == before


def test_an_unknown_integer_is_deleted_without_effect(client: TestClient) -> None:
    assert client.delete("/v1/items?id=99999999&id=12.0").status_code == 200
    assert client.post("/v1/rank", json={"items": [3, 12]}).json()["unknown"] == [12]


def test_events_are_kept_for_the_next_training(client: TestClient, tmp_path: Path) -> None:
    events = [event(rank=1), event(type="impression", query={"home_city": "Rome"})]
    assert client.post("/v1/events", json={"events": events}).json() == {"stored": 2, "known": 0}
    more = [*events, event(value=3.5)]
    assert client.post("/v1/events", json={"events": more}).json() == {"stored": 1, "known": 2}
    export_events(tmp_path / "state", tmp_path / "events.parquet")
    assert (tmp_path / "events.parquet").is_file()
    bad = problem(client.post("/v1/events", json={"events": [event(time="yesterday")]}), 422)
    assert bad["errors"][0]["where"] == "body.events.0.time"
