"""Routes that read: lists, ranking, search, what is served."""

import json

import pytest
from fastapi.testclient import TestClient

from crosstower.serving.bundle import Bundle

from .client import ids, problem


def test_stages_hold_all_candidates_in_their_final_order(client: TestClient) -> None:
    response = client.post("/v1/recommend", json={"user": 5, "k": 3, "stages": True}).json()
    stages = response["stages"]
    candidates = stages["candidates"]
    assert [c["rank"] for c in candidates] == list(range(1, 51))
    assert [c["item_id"] for c in candidates[:3]] == [i["item_id"] for i in response["items"]]
    assert sorted(c["retrieval_rank"] for c in candidates) == list(range(1, 51))
    by_click = sorted(candidates, key=lambda c: -c["predictions"]["click"])
    assert [c["ranked_rank"] for c in by_click] == list(range(1, 51))
    by_blend = sorted(candidates, key=lambda c: -c["score"])
    assert [c["blended_rank"] for c in by_blend] == list(range(1, 51))
    assert {c["type"] for c in candidates} > {"Paris"}
    assert set(stages["milliseconds"]) == {"retrieve", "rank", "blend", "total"}


def test_another_blend_for_one_request(client: TestClient) -> None:
    blend = {"weights": {"booking": 1.0}, "transform": "percentile", "by": "city"}
    body = {"user": 5, "k": 5, "blend": blend}
    first = client.post("/v1/recommend", json=body).json()["items"]
    assert all(0 <= item["score"] <= 1 for item in first)
    body["blend"] = {"weights": {"booking": 1.0}, "transform": "percentile", "by": None}
    second = client.post("/v1/recommend", json=body).json()["items"]
    assert [i["item_id"] for i in first] != [i["item_id"] for i in second]


def test_ranking_of_given_items_and_of_whole_rows(client: TestClient) -> None:
    query = {"home_city": "Rome", "budget": 90, "wanted": "pool"}
    body = {"user": 5, "query": query, "items": [1, 2, 3, 999_999]}
    response = client.post("/v1/rank", json=body)
    assert sorted(ids(response)) == [1, 2, 3]
    assert response.json()["unknown"] == [999_999]
    rows = [{"user_id": 5, **query, **i["attributes"]} for i in response.json()["items"]]
    again = client.post("/v1/rank", json={"rows": rows, "k": 2}).json()["items"]
    assert [i["item_id"] for i in again] == [0, 1]  # numbers of rows, which were in order
    assert again[0]["score"] == pytest.approx(response.json()["items"][0]["score"], rel=1e-5)
    problem(client.post("/v1/rank", json={"user": 5}), 422)
    problem(client.post("/v1/rank", json={"items": [1], "rows": rows}), 422)


def test_the_most_alike(client: TestClient, bundle: Bundle) -> None:
    expected = bundle.retriever().similar(9, k=5)["item_id"].to_list()
    assert ids(client.post("/v1/similar", json={"item": 9, "k": 5})) == expected
    assert "no item" in problem(client.post("/v1/similar", json={"item": -7}), 422)["detail"]
    assert "text column" in problem(client.post("/v1/search", json={"text": "x"}), 422)["detail"]


def test_rules_of_a_request_and_what_they_moved(client: TestClient) -> None:
    plain = client.post("/v1/recommend", json={"user": 5, "k": 8}).json()
    assert plain["explain"] is None
    assert plain["items"][0]["moves"] == {}
    last = ids(client.post("/v1/recommend", json={"user": 5, "k": 50}))[-1]
    rules = {"pin": {"item": last, "at": 2}, "exclude": "city == 'Rome'", "boost": []}
    body = {"user": 5, "k": 8, "rules": rules, "explain": True, "stages": True}
    response = client.post("/v1/recommend", json=body).json()
    assert response["explain"]["rules"] == {
        "exclude": ["city == 'Rome'"],
        "pin": [{"item": last, "at": 2}],
    }
    assert response["items"][1]["item_id"] == last
    assert response["items"][1]["moves"]["pin[0]"] > 40
    assert all(item["attributes"]["city"] != "Rome" for item in response["items"])
    assert response["stages"]["milliseconds"]["rules"] >= 0
    assert client.get("/v1/model").json()["rules"] == {}


def test_impossible_rules_are_noticed_and_wrong_ones_refused(client: TestClient) -> None:
    body = {"user": 5, "k": 8, "rules": {"pin": {"item": -1, "at": 1}, "require": "price < 0"}}
    response = client.post("/v1/recommend", json=body)
    assert response.status_code == 200
    assert ids(response) == []
    assert [n.split(":")[0] for n in response.json()["notices"]] == [
        "rules.require[0]",
        "rules.pin[0]",
    ]
    for rules, words in (
        ({"require": "prise < 0"}, "did you mean 'price'"),
        ({"boots": []}, "did you mean 'boost'"),
        ({"pin": {"item": 1, "at": 0}}, "at"),
        ({"mmr": {}, "dpp": {}}, "keep one"),
        (17, "rules"),
    ):
        detail = problem(client.post("/v1/recommend", json={"user": 5, "rules": rules}), 422)
        assert words in str(detail), rules


def test_rules_of_ranked_items_and_rows(client: TestClient) -> None:
    query = {"home_city": "Rome", "budget": 90, "wanted": "pool"}
    body = {"user": 5, "query": query, "items": [1, 2, 3], "rules": {"pin": {"item": 2, "at": 3}}}
    response = client.post("/v1/rank", json=body)
    assert ids(response)[2] == 2
    rows = [{"user_id": 5, **query, **i["attributes"]} for i in response.json()["items"]]
    again = client.post("/v1/rank", json={"rows": rows, "rules": {"pin": {"item": 1, "at": 1}}})
    assert ids(again)[0] == 1


def test_hostile_rules_are_never_a_failure_of_the_server(client: TestClient) -> None:
    for rules in (
        {"pin": {"item": "\ud800", "at": 1}},
        {"pin": {"item": "", "at": 1}},
        {"pin": {"item": 10**30, "at": 10**30}},
        {"dedup_by": "\ud800"},
        {"require": "\ud800 == 1"},
        {"require": "'\ud800' == city"},
        {"boost": {"where": "price > 0", "multiply": 1e308}},
        {"boost": [{"where": "price > 0", "multiply": 1e6}] * 64},
        {"boost": {"where": "price > 0", "add": 1e308}},
        {"freshness": {"column": "city", "half_life": 1e-300}},
        {"slots": {"where": "price > 0", "every": 10**30, "pacing": {"budget": "price"}}},
        {"slots": {"where": "price > 0", "every": 1, "pacing": {"budget": 1e-9, "period": 1e300}}},
        {"max_per": {"column": "city", "most": 10**30, "within": 10**30}},
        {"spacing": {"column": "city", "half_distance": 1e-300}},
        {"mmr": {"relevance": 0, "similar_by": ["price", "city", "item_id"]}},
        {"dpp": {"relevance": 0.9999999}},
    ):
        body = json.dumps({"user": 5, "k": 5, "rules": rules, "explain": True})
        response = client.post(
            "/v1/recommend", content=body, headers={"Content-Type": "application/json"}
        )
        assert response.status_code in {200, 422}, (rules, response.text)
