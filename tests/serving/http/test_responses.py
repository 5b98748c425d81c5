"""Responses as plain data for JSON."""

import pytest
from fastapi.testclient import TestClient

from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.settings import Shop

from ...fixtures.counted_films import CountedFilms
from ...fixtures.sourced_films import SourcedFilms
from ..conftest import Start


def test_what_is_served(client: TestClient, bundle: Bundle) -> None:
    found = client.get("/v1/model").json()
    assert found["version"] == bundle.version
    assert found["stages"] == ["retrieve", "rank", "blend"]
    assert found["blend"]["weights"] == {"click": 1.0, "booking": 20.0}
    assert [t["name"] for t in found["tasks"]] == ["click", "booking"]
    assert found["user_column"] == "user_id"
    columns = {c["name"]: c for c in found["query_columns"]}
    assert columns["home_city"]["kind"] == "categorical"
    assert "Rome" in columns["home_city"]["examples"]
    assert {"name": "price", "type": "Float64", "flag": False} in found["attributes"]
    assert len(found["sample_users"]) == 20
    assert (found["live_events"], found["shop"]) == ([], None)
    assert found["metrics"]["ranking"]["tasks"]["click"]
    assert client.get("/healthz").json()["status"] == "ok"
    ready = {"status": "ready", "version": bundle.version, "state_behind": 0.0}
    assert client.get("/readyz").json() == ready


def test_an_empty_list_is_explained(client: TestClient) -> None:
    request = {"k": 3, "query": {"home_city": "Rome"}}
    assert client.post("/v1/recommend", json=request).json()["notices"] == []
    found = client.post("/v1/recommend", json=request | {"where": "price < 0"}).json()
    assert found["items"] == []
    left = "no item is left: all are in the user's history, excluded, or do not match the condition"
    assert found["notices"] == [left]
    found = client.post("/v1/recommend", json={"user": 10**9, "where": "price < 0"}).json()
    unknown = "user 1000000000 is unknown: treated as a user without a history"
    assert (found["items"], found["notices"]) == ([], [unknown, left])


def test_events_that_act_are_those_of_histories_and_counters(
    start: Start, counted_films: CountedFilms, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(counted_films.bundle.folder)
    found = client.get("/v1/model").json()
    assert found["live_events"] == ["click", "purchase", "impression"]
    assert found["shop"] is None
    service = client.app.state.service
    shop = {"shop": Shop(searches=("by the sea",))}
    monkeypatch.setattr(service, "settings", service.settings.model_copy(update=shop))
    assert client.get("/v1/model").json()["shop"] == {"searches": ["by the sea"]}


def test_sources_of_candidates_are_shown(start: Start, sourced_films: SourcedFilms) -> None:
    """The same as in Python."""
    client = start(sourced_films.bundle.folder)
    body = {"user": 3, "k": 4, "query": {"country": "FR", "device": "tv"}}
    found = client.post("/v1/recommend", json={**body, "stages": True}).json()
    funnel = Live.open(sourced_films.bundle).needs_funnel
    expected = funnel.recommend(FunnelRequest(3, body["query"], k=4))
    assert expected.sources is not None
    for row, candidate in enumerate(found["stages"]["candidates"]):
        own = {n: {"rank": r, "score": s} for n, (r, s) in expected.sources.of(row).items()}
        assert candidate["sources"] == own
        if row < 4:
            assert found["items"][row]["sources"] == own


def test_items_and_events_sent_to_a_server_reach_the_sources(
    start: Start, sourced_films: SourcedFilms
) -> None:
    client = start(sourced_films.bundle.folder)
    item = {"film": "f77", "genre": 1, "released": "2031-05-01"}
    assert client.put("/v1/items", json={"items": [item]}).status_code == 200
    assert client.delete("/v1/items", params={"id": "f29"}).status_code == 200
    events = [
        {"event_id": film, "type": "click", "user": 999, "item_id": film} for film in ("f01", "f04")
    ]
    assert client.post("/v1/events", json={"events": events}).status_code == 200
    body = {"user": 999, "k": 3, "query": {"device": "tv"}, "stages": True}
    found = client.post("/v1/recommend", json=body).json()["stages"]["candidates"]
    ranks = {c["item_id"]: {n: s["rank"] for n, s in c["sources"].items()} for c in found}
    assert ranks["f77"]["new"] == 1
    assert "f29" not in ranks
    assert ranks["f04"]["seen"] == 1
    assert any("item_knn" in of for of in ranks.values())
