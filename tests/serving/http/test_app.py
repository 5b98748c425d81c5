import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.http.service import Service
from crosstower.serving.state.event_export import export_events

from ...fixtures.funnels import Runs
from ..conftest import TOKENS, Start, event

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


def test_a_list_is_that_of_the_bundle(client: TestClient, bundle: Bundle) -> None:
    query = {"home_city": "Rome", "budget": 90}
    answer = client.post("/v1/recommend", json={"user": 5, "k": 7, "query": query})
    expected = bundle.funnel().recommend(5, k=7, query=query)
    found = answer.json()
    assert found["version"] == bundle.version
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found["fallback"] is None
    assert found["stages"] is None
    assert ids(answer) == expected["item_id"].to_list()
    first, row = found["items"][0], expected.row(0, named=True)
    assert first["score"] == pytest.approx(row["score"], rel=1e-5)
    assert first["retrieval_rank"] == row["retrieval_rank"]
    assert first["predictions"]["booking"] == pytest.approx(row["booking__prediction"], rel=1e-5)
    assert first["attributes"]["city"] == row["city"]
    assert first["attributes"]["amenities"] == row["amenities"]


def test_stages_hold_all_candidates_in_their_final_order(client: TestClient) -> None:
    answer = client.post("/v1/recommend", json={"user": 5, "k": 3, "stages": True}).json()
    stages = answer["stages"]
    candidates = stages["candidates"]
    assert [c["rank"] for c in candidates] == list(range(1, 51))
    assert [c["item_id"] for c in candidates[:3]] == [i["item_id"] for i in answer["items"]]
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
    answer = client.post("/v1/rank", json=body)
    assert sorted(ids(answer)) == [1, 2, 3]
    assert answer.json()["unknown"] == [999_999]
    rows = [{"user_id": 5, **query, **i["attributes"]} for i in answer.json()["items"]]
    again = client.post("/v1/rank", json={"rows": rows, "k": 2}).json()["items"]
    assert [i["item_id"] for i in again] == [0, 1]  # numbers of rows, which were in order
    assert again[0]["score"] == pytest.approx(answer.json()["items"][0]["score"], rel=1e-5)
    problem(client.post("/v1/rank", json={"user": 5}), 422)
    problem(client.post("/v1/rank", json={"items": [1], "rows": rows}), 422)


def test_the_most_alike(client: TestClient, bundle: Bundle) -> None:
    expected = bundle.retriever().similar(9, k=5)["item_id"].to_list()
    assert ids(client.post("/v1/similar", json={"item": 9, "k": 5})) == expected
    assert "no item" in problem(client.post("/v1/similar", json={"item": -7}), 422)["detail"]
    assert "text column" in problem(client.post("/v1/search", json={"text": "x"}), 422)["detail"]


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
    assert {"name": "price", "type": "Float64"} in found["attributes"]
    assert len(found["sample_users"]) == 20
    assert found["metrics"]["ranking"]["tasks"]["click"]
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json() == {"status": "ready", "version": bundle.version}


def test_items_are_found_at_once_and_after_a_restart(start: Start) -> None:
    one = start()
    answer = one.put("/v1/items", json={"items": [LISTING]})
    assert answer.json()["items"] == 1
    assert find(one, "city == 'Atlantis'") == [10**6]
    gone = find(one, "city == 'Paris'", k=1)[0]
    deleted = one.delete("/v1/items", params={"id": [gone, 123456]}).json()
    assert deleted == {"sequence": answer.json()["sequence"] + 2, "items": 2}
    assert gone not in find(one, "city == 'Paris'", k=50)
    two = start()  # as after a restart, or in another worker
    assert find(two, "city == 'Atlantis'") == [10**6]
    assert gone not in find(two, "city == 'Paris'", k=50)
    assert two.get("/v1/model").json()["newer_items"] == 1


def test_two_workers_agree(start: Start) -> None:
    one, two = start(), start()
    for step in range(6):
        writer, reader = (one, two) if step % 2 else (two, one)
        writer.put("/v1/items", json={"items": [{**LISTING, "listing_id": 10**6 + step}]})
        assert len(find(reader, "city == 'Atlantis'", k=50)) == step + 1
        body = {"user": 9, "k": 20, "stages": True}
        lists = [client.post("/v1/recommend", json=body).json() for client in (one, two)]
        assert lists[0]["items"] == lists[1]["items"]
    one.delete("/v1/items", params={"id": 10**6})
    assert len(find(two, "city == 'Atlantis'", k=50)) == 5


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
    for answer, name in ((put, "items[0]: 'listing_id'"), (deleted, "id")):
        words = f"{name} must be an integer, like all item ids here, got '{given}'"
        assert problem(answer, 422)["detail"] == words
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
    answer = client.post("/v1/recommend", content=body, headers=headers)
    assert words in json.dumps(problem(answer, status), ensure_ascii=False)


def test_other_ways_to_be_wrong(client: TestClient) -> None:
    problem(client.get("/v1/nothing"), 404)
    assert problem(client.get("/v1/recommend"), 405)
    form = client.post("/v1/recommend", data={"user": 1})
    problem(form, 422)
    latin = client.post(
        "/v1/recommend", content=b'{"user": "\xff"}', headers={"content-type": "application/json"}
    )
    problem(latin, 400)


def test_a_large_body_is_refused_before_it_is_read(client: TestClient) -> None:
    ten_megabytes = b'{"user": "' + b"x" * 10_000_000 + b'"}'
    headers = {"content-type": "application/json"}
    answer = client.post("/v1/recommend", content=ten_megabytes, headers=headers)
    assert "larger than 1,000,000 bytes" in problem(answer, 413)["detail"]
    parts = (ten_megabytes[i : i + 65_536] for i in range(0, len(ten_megabytes), 65_536))
    problem(client.post("/v1/recommend", content=parts, headers=headers), 413)  # without a length
    assert client.post("/v1/recommend", json={"user": 1}).status_code == 200


def test_tokens_open_what_they_are_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, token in TOKENS.items():
        monkeypatch.setenv(f"CROSSTOWER_{name.upper()}_TOKEN", f"other-token-of-sixteen {token}")
    client = start()
    asks = {
        "read": lambda h: client.post("/v1/recommend", json={"user": 1}, headers=h),
        "write": lambda h: client.post("/v1/events", json={"events": [event()]}, headers=h),
        "admin": lambda h: client.post("/v1/model", json={"path": "nowhere"}, headers=h),
    }
    for rank, name in enumerate(TOKENS):
        headers = {"Authorization": f"Bearer {TOKENS[name]}"}
        statuses = [asks[scope](headers).status_code for scope in TOKENS]
        allowed = [200, 200, 422][: rank + 1]
        assert statuses == [*allowed, *[403] * (2 - rank)]
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
        answer = asks["read"](headers)
        assert "send one as Authorization" in problem(answer, 401)["detail"]
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/metrics").status_code == 401
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/recommend"),
        ("POST", "/v1/rank"),
        ("PUT", "/v1/items"),
        ("POST", "/v1/events"),
        ("POST", "/v1/model"),
    ],
)
def test_a_token_is_asked_for_before_the_body_is_parsed(
    start: Start, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    for name, token in TOKENS.items():
        monkeypatch.setenv(f"CROSSTOWER_{name.upper()}_TOKEN", token)
    client = start()
    headers = {"content-type": "application/json"}
    answer = client.request(method, path, content=b"no JSON", headers=headers)
    assert problem(answer, 401)
    headers |= {"Authorization": f"Bearer {TOKENS['admin']}"}
    assert problem(client.request(method, path, content=b"no JSON", headers=headers), 400)


def test_figures_for_prometheus(client: TestClient) -> None:
    body = {"user": 10**9, "query": {"home_city": "Atlantis"}}
    client.post("/v1/recommend", json=body)
    client.post("/v1/recommend", json={"k": 3})
    client.post("/v1/recommend", json={"k": 0})
    text = client.get("/metrics").text
    for line in (
        'crosstower_requests_total{route="/v1/recommend",status="200"} 2.0',
        'crosstower_requests_total{route="/v1/recommend",status="422"} 1.0',
        'crosstower_fallbacks_total{reason="popular"} 1.0',
        'crosstower_unseen_values_total{column="home_city"} 1.0',
        'crosstower_values_total{column="home_city"} 2.0',
        "crosstower_items 1500.0",
    ):
        assert line in text
    assert 'crosstower_stage_duration_seconds_count{stage="rank"} 2.0' in text


def test_drift_is_told_of_what_is_shown(client: TestClient) -> None:
    for user in range(60):
        client.post("/v1/recommend", json={"user": user, "k": 10})
    service_of(client)._show_figures()
    lines = client.get("/metrics").text.splitlines()
    drift = next(x for x in lines if x.startswith('crosstower_score_drift{task="click"}'))
    assert float(drift.split()[-1]) > 0.1  # the best of 1,500 listings are no sample of them


def test_a_queue_that_is_full_answers_at_once(start: Start) -> None:
    client = start(max_queue=1, queue_timeout=0.5)
    service, begun, finish = service_of(client), threading.Event(), threading.Event()

    def slow(_live: Any) -> None:
        begun.set()
        finish.wait(20)

    portal = client.portal
    assert portal is not None
    blocking = portal.start_task_soon(service.ask, slow)
    begun.wait(20)
    answer = client.post("/v1/recommend", json={"user": 1})
    assert "1 requests wait already" in problem(answer, 503)["detail"]
    assert answer.headers["retry-after"] == "1"
    assert client.get("/healthz").status_code == 200
    finish.set()
    blocking.result(20)
    assert client.post("/v1/recommend", json={"user": 1}).status_code == 200


def test_lists_that_wait_are_answered_together_as_alone(start: Start) -> None:
    client = start()
    bodies = [{"user": n, "k": n + 1, "stages": n == 3} for n in range(12)]
    bodies[5]["k"] = 51
    alone = [client.post("/v1/recommend", json=body) for body in bodies]
    service, portal, sizes = service_of(client), client.portal, list[int]()
    assert portal is not None
    assert service.live is not None
    assert service.live.funnel is not None
    many = service.live.funnel.recommend_each

    def counted(asked: Any) -> Any:
        sizes.append(len(asked))
        return many(asked)

    service.live.funnel.recommend_each = counted  # type: ignore[method-assign]
    blocking = portal.start_task_soon(service.ask, lambda _live: time.sleep(0.3))
    with ThreadPoolExecutor(len(bodies)) as threads:
        found = list(threads.map(lambda body: client.post("/v1/recommend", json=body), bodies))
    for mine, theirs in zip(found, alone, strict=True):
        assert mine.status_code == theirs.status_code
        alike(mine.json(), theirs.json())
    blocking.result(20)
    assert max(sizes) > 1
    assert sum(sizes) == len(bodies)


def alike(mine: Any, theirs: Any) -> None:
    """Compare two answers but for what differs each time, numbers to six digits."""
    if isinstance(theirs, dict):
        assert mine.keys() == theirs.keys()
        for key in mine.keys() - {"request_id", "milliseconds"}:
            alike(mine[key], theirs[key])
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            alike(one, other)
    else:
        assert mine == (pytest.approx(theirs, rel=1e-5) if isinstance(theirs, float) else theirs)


@contextmanager
def blocked(client: TestClient) -> Iterator[None]:
    """Keep the thread of the live bundle busy."""
    begun, finish = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        finish.wait(20)

    service_of(client)._thread.submit(slow)
    begun.wait(20)
    yield
    finish.set()


@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/similar"])
def test_what_waits_too_long_is_given_up_while_the_thread_is_busy(start: Start, path: str) -> None:
    client = start(max_queue=8, queue_timeout=0.05)
    with blocked(client):
        answer = client.post(path, json={"user": 1} if "rec" in path else {"item": 1})
        assert "waited longer than 0.05 seconds" in problem(answer, 503)["detail"]


def test_what_was_given_up_is_not_answered_later(start: Start) -> None:
    client = start(max_queue=50, queue_timeout=0.05)
    with blocked(client), ThreadPoolExecutor(6) as pool:
        body = {"user": 1}
        answers = list(pool.map(lambda _: client.post("/v1/recommend", json=body), range(6)))
    assert {answer.status_code for answer in answers} == {503}
    service_of(client)._thread.submit(int).result(20)
    assert 'stage="rank"} 1' not in client.get("/metrics").text


def test_writes_wait_for_a_bounded_time_in_a_bounded_queue(start: Start) -> None:
    client = start(max_queue=2, queue_timeout=0.3)
    service, begun, finish = service_of(client), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        finish.wait(20)

    service._writer.submit(slow)
    begun.wait(20)

    def send(_number: int) -> Any:
        return client.post("/v1/events", json={"events": [event()]})

    with ThreadPoolExecutor(5) as pool:
        details = [problem(a, 503)["detail"] for a in pool.map(send, range(5))]
    assert sum("2 writes wait already" in detail for detail in details) == 3
    assert sum("waited longer than 0.3 seconds" in detail for detail in details) == 2
    assert client.post("/v1/recommend", json={"user": 1}).status_code == 200  # reads go on
    finish.set()
    assert send(0).json() == {"stored": 1, "known": 0}


def test_a_bundle_is_swapped_for_a_good_one_only(
    start: Start, bundle: Bundle, blended: Runs, tmp_path: Path
) -> None:
    fresh = make_bundle([blended.retrieval, blended.ranking], tmp_path / "fresh", index="ann")
    bad = shutil.copytree(fresh.folder, tmp_path / "bad")
    path = next(bad.rglob("best.safetensors"))
    path.write_bytes(path.read_bytes()[:-9])
    one, two = start(), start()
    one.put("/v1/items", json={"items": [LISTING]})
    for wrong in (bad, tmp_path / "nowhere"):
        answer = problem(one.post("/v1/model", json={"path": str(wrong)}), 422)
        assert f"{bundle.version} is still served" in answer["detail"]
    assert one.get("/readyz").json()["version"] == bundle.version
    answer = one.post("/v1/model", json={"path": str(fresh.folder)})
    assert answer.json() == {"version": fresh.version, "previous": bundle.version}
    assert find(one, "city == 'Atlantis'") == [10**6]  # what was written is there still
    until = time.monotonic() + 20
    while two.get("/readyz").json()["version"] != fresh.version and time.monotonic() < until:
        time.sleep(0.1)  # the other worker follows
    assert two.get("/readyz").json()["version"] == fresh.version
    assert find(two, "city == 'Atlantis'") == [10**6]
    text = one.get("/metrics").text
    assert 'crosstower_swaps_total{result="refused"} 2.0' in text
    assert 'crosstower_swaps_total{result="done"} 1.0' in text


def test_answers_cannot_be_framed_or_guessed(client: TestClient) -> None:
    answer = client.get("/", headers={"X-Request-ID": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (
        len(client.get("/healthz", headers={"X-Request-ID": "a b"}).headers["x-request-id"]) == 32
    )
    assert client.get("/page/../service.py").status_code == 404


def test_the_document_describes_every_answer(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/recommend", "/v1/rank", "/v1/search", "/v1/similar", "/v1/items", "/v1/events",
        "/v1/model", "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    recommend = document["paths"]["/v1/recommend"]["post"]
    assert "application/problem+json" in recommend["responses"]["422"]["content"]
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in json.dumps(document)


def test_a_full_state_takes_no_more_until_there_is_room(start: Start) -> None:
    client = start(state_bytes=1_000_000)
    big = {"note": "x" * 3_000}
    for _ in range(2):
        many = [event(attributes=big) for _ in range(200)]
        assert client.post("/v1/events", json={"events": many}).status_code == 200
    service, portal = service_of(client), client.portal
    assert portal is not None
    service._state_bytes = service.state.size()  # as each second
    answer = client.post("/v1/events", json={"events": [event()]})
    assert "crosstower events STATE --delete-before DATE" in problem(answer, 507)["detail"]
    problem(client.put("/v1/items", json={"items": [LISTING]}), 507)
    assert client.post("/v1/recommend", json={"user": 1}).status_code == 200
    assert service.state.delete_events(datetime(2100, 1, 1, tzinfo=UTC)) == 400
    service._state_bytes = service.state.size()
    service._show_figures()
    assert client.post("/v1/events", json={"events": [event()]}).status_code == 200
    assert f"crosstower_state_bytes {float(service._state_bytes)}" in client.get("/metrics").text


@pytest.mark.parametrize("path", ["x" * 300, "a/" * 2_000, "\0", "\ud800", "bundle\0x"])
def test_a_path_that_no_disk_can_have_is_refused(client: TestClient, path: str) -> None:
    content = json.dumps({"path": path}).encode()
    headers = {"content-type": "application/json"}
    assert problem(client.post("/v1/model", content=content, headers=headers), 422)


def test_a_long_path_of_the_page_is_not_found(client: TestClient) -> None:
    assert client.get(f"/page/{'x' * 300}").status_code == 404


FOREIGN = (
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:8000",
    "[::2]",
    "::",
    "",
    "evil.example@localhost",
    "localhost/evil.example",
)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_is_refused_without_tokens(client: TestClient, host: str) -> None:
    for path in ("/", "/v1/model", "/metrics", "/healthz", "/page/app.js"):
        answer = client.get(path, headers={"Host": host})
        assert "this host name is not served" in problem(answer, 421)["detail"]


def test_a_page_of_another_site_is_refused_without_tokens(client: TestClient) -> None:
    for origin in ("http://evil.example", "null", "http://localhost.evil.example", "file://"):
        answer = client.post("/v1/recommend", json={"user": 1}, headers={"Origin": origin})
        assert "pages of other sites" in problem(answer, 403)["detail"]
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert client.post("/v1/recommend", json={"user": 1}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "user", [b"9" * 5_000, b"[" * 100_000 + b"]" * 100_000, b'"\xff"', b"\x1f\x8b\x08"], ids=len
)
def test_a_body_that_cannot_be_read_as_json_is_refused(client: TestClient, user: bytes) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    content = b'{"user": %b}' % user
    found = problem(client.post("/v1/recommend", content=content, headers=headers), 400)
    assert "the body" in found["detail"]
    assert "JSON" in found["detail"]


def test_several_hosts_or_origins_are_refused_without_tokens(client: TestClient) -> None:
    local, evil = (b"host", b"127.0.0.1"), (b"host", b"evil.example")
    for pair in ([local, evil], [evil, local]):
        answer = client.get("/v1/model", headers=httpx.Headers(pair))
        assert "this host name is not served" in problem(answer, 421)["detail"]
    origins = httpx.Headers([(b"origin", b"http://localhost"), (b"origin", b"http://evil.example")])
    assert problem(client.get("/v1/model", headers=origins), 403)


def test_with_tokens_any_host_is_served(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSTOWER_READ_TOKEN", TOKENS["read"])
    headers = {"Host": "shop.example", "Authorization": f"Bearer {TOKENS['read']}"}
    assert start().post("/v1/recommend", json={"user": 1}, headers=headers).status_code == 200
