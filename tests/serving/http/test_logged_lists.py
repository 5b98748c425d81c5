"""Exploration and the log of shown items, as a client of the server sees them."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

from crosstower.errors import ServeError
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.http.app import create_app
from crosstower.serving.http.settings import Settings
from crosstower.serving.off_policy import evaluate_logged
from crosstower.serving.state.event_export import export_events
from crosstower.serving.state.impressions import logged_lists

from ...fixtures.funnels import Runs
from ..conftest import TOKENS, Start, event
from .client import problem, service_of

EPSILON = {"kind": "epsilon", "epsilon": 0.6, "top": 6}
FIELDS = ("propensity", "conditional_propensity", "drawn_rank")


def recommend(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/recommend", json={"user": 1, "k": 4} | body)
    assert response.status_code == 200, response.text
    return response.json()


def test_without_exploration_nothing_is_stated_or_logged(client: TestClient) -> None:
    found = recommend(client)
    assert not found["logged"]
    assert all(name not in item for item in found["items"] for name in FIELDS)
    assert service_of(client).state.events() == 0


def test_each_shown_item_has_its_propensity(client: TestClient) -> None:
    best = [item["item_id"] for item in recommend(client, k=6)["items"]]
    found = recommend(client, explore=EPSILON | {"seed": 5})
    again = recommend(client, explore=EPSILON | {"seed": 5})
    assert found["items"] == again["items"]
    assert {item["item_id"] for item in found["items"]} <= set(best)
    for item in found["items"]:
        assert 0.0 < item["propensity"] <= 1.0
        assert 0.1 <= item["conditional_propensity"] <= 1.0
    first = next(item for item in found["items"] if item["drawn_rank"] == 1)
    assert first["propensity"] in (pytest.approx(0.5), pytest.approx(0.1))


def test_thompson_states_no_conditional_propensity(client: TestClient) -> None:
    explore = {"kind": "thompson", "prior_sd": 0.5, "noise_sd": 1.0}
    found = recommend(client, explore=explore)["items"]
    assert {item["conditional_propensity"] for item in found} == {None}
    assert all(0.0 < item["propensity"] <= 1.0 for item in found)


@pytest.mark.parametrize(
    ("explore", "where"),
    [
        ({"kind": "softmax"}, "body.explore"),
        ({"kind": "epsilon"}, "body.explore.epsilon.epsilon"),
        ({"kind": "epsilon", "epsilon": 0}, "body.explore.epsilon.epsilon"),
        (EPSILON | {"top": 100_000}, "body.explore.epsilon.top"),
    ],
)
def test_a_wrong_exploration_is_refused(
    client: TestClient, explore: dict[str, Any], where: str
) -> None:
    body = {"user": 1, "explore": explore}
    found = problem(client.post("/v1/recommend", json=body), 422)
    assert found["errors"][0]["where"] == where


def test_what_is_shown_is_in_the_log_when_the_response_arrives(
    client: TestClient, tmp_path: Path
) -> None:
    found = recommend(client, explore=EPSILON, log=True, query={"home_city": "Rome"})
    assert found["logged"]
    (logged,) = logged_lists(service_of(client).state.database, after=None, until=None)
    assert (logged.request_id, logged.user) == (found["request_id"], 1)
    assert logged.query == {"home_city": "Rome"}
    assert len(logged.candidates) == 6
    for shown, item in zip(logged.shown, found["items"], strict=True):
        assert (shown.item_id, shown.rank) == (item["item_id"], item["rank"])
        assert (shown.propensity, shown.drawn_rank) == (item["propensity"], item["drawn_rank"])
    export_events(tmp_path / "state", tmp_path / "out.parquet", types=["impression"])
    rows = pl.read_parquet(tmp_path / "out.parquet")
    assert rows["attributes.propensity"].to_list() == [i["propensity"] for i in found["items"]]
    assert rows["attributes.score"].to_list() == [i["score"] for i in found["items"]]
    assert set(rows["attributes.version"]) == {found["version"]}
    assert set(rows["query.home_city"]) == {"Rome"}


def test_a_list_without_exploration_is_logged_as_certain(client: TestClient) -> None:
    recommend(client, log=True)
    (logged,) = logged_lists(service_of(client).state.database, after=None, until=None)
    assert list(logged.candidates) == []
    assert [(s.rank, s.drawn_rank, s.propensity) for s in logged.shown] == [
        (rank, rank, 1.0) for rank in range(1, 5)
    ]


def test_a_request_that_logs_needs_the_scope_of_writes(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(client)
    monkeypatch.setattr(service, "tokens", {scope: (token,) for scope, token in TOKENS.items()})

    def status(scope: str, **body: Any) -> int:
        headers = {"Authorization": f"Bearer {TOKENS[scope]}"}
        return client.post("/v1/recommend", json={"user": 1} | body, headers=headers).status_code

    assert [status(scope, log=True) for scope in TOKENS] == [403, 200, 200]
    assert status("read", log=False) == status("read") == 200
    assert service.state.events() == 2 * 11
    monkeypatch.setattr(service, "settings", service.settings.model_copy(update={"log": True}))
    assert status("read") == status("read", log=True) == 200  # the operator wants the log
    assert service.state.events() == 4 * 11


def test_a_large_query_is_not_stored_with_every_item(client: TestClient) -> None:
    body = {"user": 1, "k": 50, "query": {"home_city": "x" * 20_000}}
    assert client.post("/v1/recommend", json=body).status_code == 200
    found = problem(client.post("/v1/recommend", json=body | {"log": True}), 422)
    assert "body.query: is stored with each shown item" in found["detail"]
    assert service_of(client).state.events() == 0


def test_a_full_state_refuses_the_list_and_not_only_its_log(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(client)
    limits = service.settings.limits.model_copy(update={"state_bytes": 1})
    settings = service.settings.model_copy(update={"limits": limits})
    monkeypatch.setattr(service, "settings", settings)
    body = {"user": 1, "log": True}
    assert "the state holds" in problem(client.post("/v1/recommend", json=body), 507)["detail"]
    assert not recommend(client)["logged"]


def test_a_list_whose_log_fails_is_not_shown(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise ServeError("the disk is full")

    monkeypatch.setattr(type(service_of(client).state), "add_events", full)
    found = problem(client.post("/v1/recommend", json={"user": 1, "log": True}), 503)
    assert "the disk is full" in found["detail"]


@pytest.mark.slow
def test_the_bundle_and_the_server_have_defaults(rentals: Runs, tmp_path: Path) -> None:
    made = make_bundle(
        [rentals.retrieval, rentals.ranking], tmp_path / "b", candidates=20, explore=EPSILON
    )
    settings = Settings(bundle=made.folder, state=tmp_path / "state", log=True)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        assert service_of(client).state.events() == 0  # the warm-up is not logged
        model = client.get("/v1/model").json()
        assert (model["explore"], model["log"]) == ({"seed": None} | EPSILON, True)
        found = recommend(client)
        assert found["logged"]
        assert all(name in item for item in found["items"] for name in FIELDS)
        off = recommend(client, explore=None, log=False)
        assert not off["logged"]
        assert "propensity" not in off["items"][0]
        given = recommend(client, explore={"kind": "epsilon", "epsilon": 1.0, "top": 2})
        drawn = [item for item in given["items"] if item["drawn_rank"] <= 2]
        assert [item["propensity"] for item in drawn] == pytest.approx([0.5, 0.5])
        assert len(logged_lists(service_of(client).state.database, after=None, until=None)) == 2


def test_the_log_of_the_server_evaluates_a_policy(
    start: Start, bundle: Bundle, tmp_path: Path
) -> None:
    client, random = start(), np.random.default_rng(0)
    clicks, count = [], 60
    for number in range(count):
        explore = EPSILON | {"seed": number}
        found = recommend(client, user=1 + number % 5, k=3, explore=explore, log=True)
        clicks += [
            event(request_id=found["request_id"], user=1 + number % 5, item_id=item["item_id"])
            for item in found["items"]
            if random.random() < 0.5
        ]
    stored = client.post("/v1/events", json={"events": clicks}).json()
    assert stored == {"stored": len(clicks), "known": 0}
    report = evaluate_logged(bundle, tmp_path / "state", reward="click")
    assert report.policies["logged"]["logged"].value == pytest.approx(len(clicks) / (3 * count))
    model = report.policies["model"]["inverse_propensity"]
    assert abs(model.value - 0.5) < 4 * model.standard_error  # each click is a coin toss
    assert not [words for words in report.warnings if "mean weight" in words]
