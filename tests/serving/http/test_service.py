"""One worker: its turn, its bundle, its items."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from crosstower.serving.http import service as module

from ..conftest import Start, event
from .client import LISTING, find, problem, service_of


def test_items_are_found_at_once_and_after_a_restart(start: Start) -> None:
    one = start()
    response = one.put("/v1/items", json={"items": [LISTING]})
    assert response.json()["items"] == 1
    assert find(one, "city == 'Atlantis'") == [10**6]
    gone = find(one, "city == 'Paris'", k=1)[0]
    deleted = one.delete("/v1/items", params={"id": [gone, 123456]}).json()
    assert deleted == {"sequence": response.json()["sequence"] + 2, "items": 2}
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


def test_a_fault_does_not_end_the_loop_that_follows_the_state(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = start()
    service, looks = service_of(client), list[int]()

    def size() -> int:
        looks.append(1)
        if len(looks) == 1:
            raise ValueError("a fault")
        return 7

    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.01)
    monkeypatch.setattr(module, "_LOG", logging.getLogger("follow"))  # whatever uvicorn's does
    monkeypatch.setattr(service.state, "size", size)

    async def follow() -> None:
        task = asyncio.create_task(service.keep_up())
        async with asyncio.timeout(30):
            while len(looks) < 3:
                await asyncio.sleep(0.01)
        task.cancel()

    client.portal.call(follow)  # type: ignore[union-attr]
    assert "following the state failed" in caplog.text
    assert "a fault" in caplog.text


def test_drift_is_told_of_what_is_shown(client: TestClient) -> None:
    for user in range(60):
        client.post("/v1/recommend", json={"user": user, "k": 10})
    service_of(client)._show_figures()
    lines = client.get("/metrics").text.splitlines()
    drift = next(x for x in lines if x.startswith('crosstower_score_drift{task="click",'))
    assert float(drift.split()[-1]) > 0.1  # the best of 1,500 listings are not a sample of them


def test_a_queue_that_is_full_responses_at_once(start: Start) -> None:
    client = start(max_queue=1, queue_timeout=0.5)
    service, begun, finish = service_of(client), threading.Event(), threading.Event()

    def slow(_live: Any) -> None:
        begun.set()
        finish.wait(20)

    portal = client.portal
    assert portal is not None
    blocking = portal.start_task_soon(service.run, slow)
    begun.wait(20)
    response = client.post("/v1/recommend", json={"user": 1})
    assert "the queue for requests is full (1)" in problem(response, 503)["detail"]
    assert response.headers["retry-after"] == "1"
    assert client.get("/healthz").status_code == 200
    finish.set()
    blocking.result(20)
    assert client.post("/v1/recommend", json={"user": 1}).status_code == 200


@contextmanager
def blocked(client: TestClient) -> Iterator[None]:
    """Keep the thread of the live bundle busy."""
    begun, finish = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        finish.wait(20)

    service_of(client)._thread.executor.submit(slow)
    begun.wait(20)
    yield
    finish.set()


@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/similar"])
def test_what_waits_too_long_is_given_up_while_the_thread_is_busy(start: Start, path: str) -> None:
    client = start(max_queue=8, queue_timeout=0.05)
    with blocked(client):
        response = client.post(path, json={"user": 1} if "rec" in path else {"item": 1})
        assert "waited longer than 0.05 seconds" in problem(response, 503)["detail"]


def test_what_was_given_up_is_not_served_later(start: Start) -> None:
    client = start(max_queue=50, queue_timeout=0.05)
    with blocked(client), ThreadPoolExecutor(6) as pool:
        body = {"user": 1}
        responses = list(pool.map(lambda _: client.post("/v1/recommend", json=body), range(6)))
    assert {response.status_code for response in responses} == {503}
    service_of(client)._thread.executor.submit(int).result(20)
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
    assert sum("the queue for writes is full (2)" in detail for detail in details) == 3
    assert sum("waited longer than 0.3 seconds" in detail for detail in details) == 2
    assert client.post("/v1/recommend", json={"user": 1}).status_code == 200  # reads go on
    finish.set()
    assert send(0).json() == {"stored": 1, "known": 0}


def test_a_full_state_takes_no_more_until_there_is_room(start: Start) -> None:
    client = start(state_bytes=1_000_000)
    big = {"note": "x" * 3_000}
    for _ in range(2):
        many = [event(attributes=big) for _ in range(200)]
        assert client.post("/v1/events", json={"events": many}).status_code == 200
    service, portal = service_of(client), client.portal
    assert portal is not None
    service._state_bytes = service.state.size()  # as each second
    response = client.post("/v1/events", json={"events": [event()]})
    assert "crosstower events STATE --delete-before DATE" in problem(response, 507)["detail"]
    problem(client.put("/v1/items", json={"items": [LISTING]}), 507)
    assert client.post("/v1/recommend", json={"user": 1}).status_code == 200
    assert service.state.delete_events(datetime(2100, 1, 1, tzinfo=UTC)) == 400
    service._state_bytes = service.state.size()
    service._show_figures()
    assert client.post("/v1/events", json={"events": [event()]}).status_code == 200
    assert f"crosstower_state_bytes {float(service._state_bytes)}" in client.get("/metrics").text
