"""Requests whose client closes the connection before the response."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.app import create_app
from crosstower.serving.http.service import Service
from crosstower.serving.http.settings import Settings

from ..conftest import event
from .connections import Running, read_response, request, serving

ITEM = {"listing_id": 10**6, "city": "Atlantis", "price": 50.0, "amenities": ["wifi"]}


@pytest.fixture
def running(bundle: Bundle, tmp_path: Path) -> Iterator[Running[FastAPI]]:
    app = create_app(Settings(bundle=bundle.folder, state=tmp_path / "state"))
    with serving(app) as one:
        yield one


def service_of(running: Running[FastAPI]) -> Service:
    return running.app.state.service


@contextmanager
def held(thread: Executor) -> Iterator[None]:
    """Keep a thread of the service busy, so that what comes now waits."""
    free, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        free.wait(20)

    done = thread.submit(work)
    assert begun.wait(10)
    try:
        yield
    finally:
        free.set()
        done.result(10)


def sent(running: Running[FastAPI], method: str, path: str, body: Any) -> socket.socket:
    connection = running.connect()
    given = json.dumps(body).encode()
    head = request(path, given, "Content-Type: application/json").replace(b"POST", method.encode())
    connection.sendall(head.replace(b"Host: x", b"Host: 127.0.0.1"))
    return connection


def post(running: Running[FastAPI], path: str, body: Any) -> tuple[int, Any]:
    status, text = read_response(sent(running, "POST", path, body))
    return status, json.loads(text)


READS: list[tuple[str, str, Any]] = [
    ("POST", "/v1/recommend", {"user": 5}),
    ("POST", "/v1/rank", {"user": 5, "items": [1, 2, 3]}),
    ("POST", "/v1/similar", {"item": 9}),
    ("GET", "/v1/model", {}),
]


def test_reads_whose_client_has_gone_are_not_computed(
    running: Running[FastAPI], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service, limit, started = service_of(running), service_of(running).admission.live, []
    monkeypatch.setattr(service._main, "up_to_date", lambda: started.append(1) or service.live)
    with held(service._thread.executor):
        some = [sent(running, *read) for read in READS for _ in range(3)]
        running.until(lambda: limit.inside == len(some))
        for connection in some:
            connection.close()
        running.until(lambda: limit.inside == 0)
        running.until(lambda: service._thread.waiting == 0)
    assert post(running, "/v1/rank", {"user": 5, "items": [1]})[0] == 200
    assert started == [1]
    assert not [r for r in caplog.records if r.levelname == "ERROR"]
    text = running_metrics(service)
    assert 'route="/v1/recommend",status="499"} 3.0' in text
    assert 'status="500"' not in text


def running_metrics(service: Service) -> str:
    content, _ = service.metrics.render()
    return content.decode()


def test_a_pipelining_client_that_is_cut_off_is_no_fault_of_the_server(
    running: Running[FastAPI], caplog: pytest.LogCaptureFixture
) -> None:
    service = service_of(running)
    with held(service._thread.executor):
        connection = sent(running, *READS[0])
        running.until(lambda: service.admission.live.inside == 1)
        connection.sendall(request("/v1/recommend", b"{}") * 50)
        running.until(lambda: service.admission.live.inside == 0)
    assert post(running, "/v1/rank", {"user": 5, "items": [1]})[0] == 200
    assert not [r for r in caplog.records if r.levelname == "ERROR"]
    assert 'route="/v1/recommend",status="499"} 1.0' in running_metrics(service)


def test_a_client_that_stays_gets_its_response(running: Running[FastAPI]) -> None:
    service = service_of(running)
    with held(service._thread.executor):
        going, staying = (sent(running, *READS[0]) for _ in range(2))
        running.until(lambda: service.admission.live.inside == 2)
        going.close()
        running.until(lambda: service.admission.live.inside == 1)
    assert read_response(staying)[0] == 200


def test_writes_are_finished_though_their_client_has_gone(
    running: Running[FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(running)
    kept = event()
    writes: list[tuple[str, str, Any]] = [
        ("PUT", "/v1/items", {"items": [ITEM]}),
        ("POST", "/v1/events", {"events": [kept]}),
    ]
    with held(service._writer):
        some = [sent(running, *write) for write in writes]
        running.until(lambda: service._writes == 2)
        for connection in some:
            connection.close()
    running.until(lambda: service.admission.live.inside + service.admission.events.inside == 0)
    found = post(running, "/v1/rank", {"user": 5, "items": [ITEM["listing_id"]]})[1]
    assert found["unknown"] == []
    assert post(running, "/v1/events", {"events": [kept]})[1] == {"stored": 0, "known": 1}


def test_a_swap_is_finished_though_its_client_has_gone(
    running: Running[FastAPI], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, before = service_of(running), service_of(running).live
    opening, may = threading.Event(), threading.Event()
    beside = service._main._beside

    def slow(path: Path) -> tuple[Live, int]:
        opening.set()
        assert may.wait(20)
        return beside(path)

    monkeypatch.setattr(service._main, "_beside", slow)
    connection = sent(running, "POST", "/v1/model", {"path": str(bundle.folder)})
    assert opening.wait(10)
    connection.close()
    may.set()
    running.until(lambda: service.live is not before)
    running.until(lambda: service.admission.live.inside == 0)
    assert service.state.bundle() == (1, bundle.folder)
