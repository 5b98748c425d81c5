"""Users over HTTP: attributes, live histories, and their erasure."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from crosstower.serving.http.app import create_app
from crosstower.serving.http.settings import Limits, Settings

from ...fixtures.live_films import UNTIL, LiveFilms
from ..conftest import TOKENS, Start, event
from .client import ids, problem, service_of

LATER = datetime.fromtimestamp(UNTIL, UTC)


@pytest.fixture
def films(live_films: LiveFilms, start: Start) -> TestClient:
    """A worker that serves films whose users keep watching."""
    return start(live_films.bundle.folder)


def post(client: TestClient, *events: dict[str, Any]) -> None:
    answer = client.post("/v1/events", json={"events": list(events)})
    assert answer.status_code == 200, answer.text


def click(user: Any, item: Any, seconds: float = 1.0, **more: Any) -> dict[str, Any]:
    time = (LATER + timedelta(seconds=seconds)).isoformat()
    return event(user=user, item_id=item, time=time, **more)


def recommend(client: TestClient, **body: Any) -> Any:
    answer = client.post("/v1/recommend", json={"k": 20, **body})
    assert answer.status_code == 200, answer.text
    return answer


def scores(answer: Any) -> list[float]:
    return [item["score"] for item in answer.json()["items"]]


def test_an_event_changes_the_next_list_of_every_worker_and_after_a_restart(
    live_films: LiveFilms, start: Start
) -> None:
    ours, theirs = (start(live_films.bundle.folder) for _ in range(2))
    before = [recommend(client, user=3) for client in (ours, theirs)]
    assert ids(before[0]) == ids(before[1])
    post(ours, click(3, "f07"), click(3, "f01", 3, type="purchase"), click(3, "f04", 2))
    offline = live_films.bundle.funnel()
    retriever = offline.retriever
    known = retriever.queries.known(3)
    assert known is not None
    history = [*retriever.catalogue.ids.gather(known.history), "f07", "f04", "f01"]
    expected = offline.recommend(3, k=20, history=history)
    restarted = start(live_films.bundle.folder)
    for client in (ours, theirs, restarted):
        after = recommend(client, user=3)
        assert ids(after) == expected["item_id"].to_list()
        np.testing.assert_allclose(scores(after), expected["score"].to_numpy(), rtol=1e-6)
    assert scores(before[0]) != scores(after)
    assert not {"f07", "f04", "f01"} & set(ids(after))


def test_the_very_next_request_after_an_acknowledgement_sees_each_event(
    films: TestClient,
) -> None:
    """Clients at once: no request of theirs misses what was acknowledged before it."""

    def clicks(client: int) -> list[list[str]]:
        user, seen, missed = f"reader {client}", list[str](), list[list[str]]()
        for number in range(12):
            found = ids(recommend(films, user=user))
            missed.append(sorted(set(seen) & set(found)))
            seen.append(found[number % 3])
            post(films, click(user, seen[-1], number + 1))
        history = films.get("/v1/users", params={"id": user}).json()["history"]
        missed.append([] if [e["item_id"] for e in history] == seen else seen)
        return missed

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(clicks, range(6))) == [[[]] * 13] * 6


def test_only_named_types_after_the_training_rows_extend_a_history(films: TestClient) -> None:
    before = recommend(films, user=3)
    post(films, click(3, "f07", type="impression"), click(3, "f07", 0), click(4, "f07"))
    assert scores(recommend(films, user=3)) == scores(before)
    post(films, click(3, "f07"))
    assert "f07" not in ids(recommend(films, user=3))


def test_events_of_the_future_and_of_unknown_items_are_kept(films: TestClient) -> None:
    before = recommend(films, user=3)
    far = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    post(films, event(user=3, item_id="f07", time=far))
    assert scores(recommend(films, user=3)) == scores(before)
    post(films, click(3, "f90"))
    shown = films.get("/v1/users", params={"id": 3}).json()
    assert [one["item_id"] for one in shown["future"]] == ["f07"]
    assert [one["item_id"] for one in shown["unknown_items"]] == ["f90"]
    films.put("/v1/items", json={"items": [{"film": "f90", "genre": 0}]})
    shown = films.get("/v1/users", params={"id": 3}).json()
    assert shown["unknown_items"] == []
    assert shown["history"][-1]["item_id"] == "f90"
    assert "f90" in ids(recommend(films, user=6, k=30, candidates=31))
    assert "f90" not in ids(recommend(films, user=3, k=30, candidates=31))


def test_attributes_are_stored_used_shown_and_replaced(films: TestClient) -> None:
    rows = [{"user": "new", "device": "tv", "country": "FR"}, {"user": 3, "device": "phone"}]
    answer = films.put("/v1/users", json={"users": rows})
    assert (answer.status_code, answer.json()["users"]) == (200, 2)
    assert scores(recommend(films, user="new")) == scores(recommend(films, query={"device": "tv"}))
    phone = recommend(films, user=3, query={"device": "phone"})
    assert scores(recommend(films, user=3)) == scores(phone)
    shown = films.get("/v1/users", params={"id": "new"}).json()
    assert shown == {
        "user": "new",
        "trained": False,
        "attributes": {"device": "tv", "country": "FR"},
        "ignored_attributes": [],
        "history": [],
        "future": [],
        "unknown_items": [],
    }
    films.put("/v1/users", json={"users": [{"user": "new", "country": "DE"}]})
    assert recommend(films, user="new").json()["fallback"] == "popular_segment"
    films.put("/v1/users", json={"users": [{"user": "new"}]})
    assert films.get("/v1/users", params={"id": "new"}).json()["attributes"] == {}


def test_a_history_shows_training_rows_and_events_in_order(films: TestClient) -> None:
    post(films, click(3, "f07", 5), click(3, "f01", 2, type="purchase"))
    shown = films.get("/v1/users", params={"id": "3"}).json()
    assert (shown["user"], shown["trained"]) == (3, True)
    *rows, first, last = shown["history"]
    assert len(rows) > 3
    assert {row["type"] for row in rows} == {None}
    assert [(e["item_id"], e["type"]) for e in (first, last)] == [
        ("f01", "purchase"), ("f07", "click"),
    ]  # fmt: skip
    assert datetime.fromisoformat(last["time"]) == LATER + timedelta(seconds=5)


def test_an_erased_user_is_unknown_to_all_workers(live_films: LiveFilms, start: Start) -> None:
    ours, theirs = (start(live_films.bundle.folder) for _ in range(2))
    secret = "zarathustra-4711"
    post(ours, click(secret, "f07"), click(secret, "f04"), click("other", "f01"))
    note = {"user": secret, "country": "private-country"}
    ours.put("/v1/users", json={"users": [note]})
    assert recommend(theirs, user=secret).json()["notices"] == []
    folder = service_of(ours).settings.state
    assert any(secret.encode() in path.read_bytes() for path in folder.iterdir())
    answer = ours.delete("/v1/users", params={"id": [secret, "nobody"]})
    assert (answer.status_code, answer.json()) == (200, {"users": 1, "events": 2})
    for path in folder.iterdir():
        content = path.read_bytes()
        assert secret.encode() not in content
        assert b"private-country" not in content
    for client in (ours, theirs):
        problem(client.get("/v1/users", params={"id": secret}), 404)
        assert "is unknown" in recommend(client, user=secret).json()["notices"][0]
        assert client.get("/v1/users", params={"id": "other"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"users": [{"device": "tv"}]}, "users[0]: no 'user', which is the id of a user"),
        ({"users": [{"user": 1}, {"user": 2, "devise": 1}]}, "users[1]: no column 'devise'; did"),
        ({"users": [{"user": 1, "film": "f01"}]}, "users[0]: no column 'film'; users have"),
        ({"users": [{"user": 1, "device": {"a": 1}}]}, "users[0]: "),
        ({"users": [{"user": [1]}]}, "users[0]: 'user': expected an id"),
        ({"users": [{"user": True}]}, "users[0]: 'user': expected an integer or a text of at"),
        ({"users": [{"user": "u" * 513}]}, "at most 512 characters, got 513 characters"),
        ({"users": []}, "users"),
        ({"users": [{"user": 1}] * 4}, "allows at most 3 at a time, got 4"),
    ],
)
def test_wrong_users_are_refused_whole(
    live_films: LiveFilms, start: Start, body: Any, words: str
) -> None:
    films = start(live_films.bundle.folder, users=3)
    detail = problem(films.put("/v1/users", json=body), 422)["detail"]
    assert words in detail
    problem(films.get("/v1/users", params={"id": 77}), 404)


def test_a_history_in_a_request_is_checked(films: TestClient) -> None:
    with_unknown = recommend(films, history=["f01", "x"])
    assert with_unknown.json()["notices"] == ["history: 1 id is not an item and is ignored: 'x'"]
    assert scores(with_unknown) == scores(recommend(films, history=["f01"]))
    assert recommend(films, history=[]).json()["fallback"] == "popular"
    many = recommend(films, history=["f01", *range(9_999)]).json()
    assert many["notices"][0].startswith("history: 9,999 ids are not items")
    for wrong in ([1.5], ["f01"] * 10_001, [None], "f01", [[1]]):
        problem(films.post("/v1/recommend", json={"history": wrong}), 422)
    ranked = films.post("/v1/rank", json={"items": ["f05", "f06"], "history": ["f01"],
                                          "query": {"device": "tv"}})  # fmt: skip
    other = films.post("/v1/rank", json={"items": ["f05", "f06"], "query": {"device": "tv"}})
    assert scores(ranked) != scores(other)


def test_scopes_are_those_of_items(
    live_films: LiveFilms, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name, token in TOKENS.items():
        monkeypatch.setenv(f"CROSSTOWER_{name.upper()}_TOKEN", token)
    app = create_app(Settings(bundle=live_films.bundle.folder, state=tmp_path / "own",
                              limits=Limits()))  # fmt: skip
    with TestClient(app, base_url="http://127.0.0.1") as client:
        body = {"users": [{"user": 1}]}
        for scope, expected in (("read", 403), ("write", 200), ("admin", 200)):
            headers = {"Authorization": f"Bearer {TOKENS[scope]}"}
            assert client.put("/v1/users", json=body, headers=headers).status_code == expected
            status = client.delete("/v1/users?id=1", headers=headers).status_code
            assert status == expected
            assert client.get("/v1/users?id=3", headers=headers).status_code == 200
        problem(client.get("/v1/users?id=3"), 401)


def test_a_bundle_that_names_no_events_keeps_its_histories(start: Start) -> None:
    client = start()  # of the rentals
    before = scores(recommend(client, user=1))
    post(client, event(user=1, item_id=7))
    assert scores(recommend(client, user=1)) == before
    assert client.get("/v1/users", params={"id": 1}).json()["history"][-1]["type"] is None
