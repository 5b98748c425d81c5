"""Connections of a real server whose application is a stand-in."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from crosstower.serving.http.gate import PLACE, Gate, Gates
from crosstower.serving.http.settings import Limits

from .connections import BODY, Running, closed, read_response, request, serving

NO_BODY = [(b"content-length", b"0")]


class App:
    """Reads each body and responds with its length, once it may."""

    def __init__(self, limits: Limits) -> None:
        self.refused: list[str] = []
        self.called = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.may = threading.Event()
        self.may.set()
        metrics = SimpleNamespace(refused=self.refused.append)
        gates = Gates(Gate(most=limits.max_queue, seconds=9), Gate(most=1, seconds=9))
        settings = SimpleNamespace(limits=limits)
        service = SimpleNamespace(settings=settings, metrics=metrics, gates=gates)
        self.state, self.gates = SimpleNamespace(service=service), gates

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.called += 1
        self.headers = scope["headers"]
        try:
            if "/early" in scope["path"]:
                await send({"type": "http.response.start", "status": 401, "headers": NO_BODY})
                await send({"type": "http.response.body", "body": b""})
                return
            body, more = b"", True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body, more = body + message["body"], message["more_body"]
            while not self.may.is_set():
                await asyncio.sleep(0.005)
            text = b"%d" % len(body)
            headers = [(b"content-length", b"%d" % len(text))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": text})
        finally:
            if PLACE in scope:
                scope[PLACE].leave()


Serve = Callable[..., Running[App]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a stand-in with the given limits."""
    with ExitStack() as stack:

        def one(**limits: Any) -> Running[App]:
            app = App(Limits(**limits))
            running = stack.enter_context(serving(app, lifespan="off"))
            stack.callback(app.may.set)
            return running

        yield one


def test_requests_are_served_on_one_connection(serve: Serve) -> None:
    connection = serve().connect()
    for size in (0, 5, 300_000):
        connection.sendall(request(body=b"x" * size))
        assert read_response(connection) == (200, b"%d" % size)
    connection.sendall(request() + request(body=b"12"))  # pipelined
    data = b""
    while data.count(b"HTTP/1.1 200") < 2 or not data.endswith(b"\r\n\r\n2"):
        data += connection.recv(65_536)


@pytest.mark.parametrize(
    "head",
    [
        "X: " + "y" * 5_000,
        "\r\n".join(f"X{n}: y" for n in range(60)),
        "\r\n".join(f"X{n}: {'y' * 100}" for n in range(49)),
        "y" * 5_000 + ": x",
    ],
)
def test_large_or_many_headers_are_refused(serve: Serve, head: str) -> None:
    running = serve(headers=50, header_bytes=4_000)
    for whole in (request("/v1/recommend", BODY, head), request("/healthz", BODY, head)):
        connection = running.connect()
        connection.sendall(whole)
        status, body = read_response(connection)
        assert (status, b"at most 50 headers of 4,000 bytes" in body) == (431, True)
        assert closed(connection)
    assert running.app.called == 0
    assert running.app.refused == ["headers", "headers"]


def test_a_header_or_address_without_end_is_cut_off(serve: Serve) -> None:
    running = serve(header_bytes=4_000)
    for start in (b"GET / HTTP/1.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\n"):
        connection = running.connect()
        connection.sendall(start)
        piece = b"y" * 500 if start != b"GET / HTTP/1.1\r\n" else b"a: b\r\n" * 80
        for _ in range(12):
            try:
                connection.sendall(piece)
            except OSError:
                break
            time.sleep(0.005)
        assert read_response(connection)[0] == 431
    assert running.app.called == 0


@pytest.mark.parametrize(
    "half", [b"", b"POST", b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\n", request()[:-3], b"\r\n"]
)
def test_half_a_request_is_given_up(serve: Serve, half: bytes) -> None:
    running = serve(read_seconds=0.2)
    many = [running.connect() for _ in range(10)]
    for connection in many:
        connection.sendall(half)
    for connection in many:
        assert read_response(connection)[0] == 408
        assert closed(connection)
    assert running.app.gates.live.inside == 0


def test_bytes_that_trickle_do_not_hold_a_connection(serve: Serve) -> None:
    connection = serve(read_seconds=0.3).connect()
    whole, ended = request(), False
    for n in range(len(whole) - 1):
        try:
            connection.sendall(whole[n : n + 1])
        except OSError:
            ended = True
            break
        time.sleep(0.02)
    assert ended or read_response(connection)[0] == 408


def test_a_kept_connection_may_rest_between_requests(serve: Serve) -> None:
    connection = serve(read_seconds=0.2).connect()
    for _ in range(2):
        connection.sendall(request())
        assert read_response(connection)[0] == 200
        time.sleep(0.4)


def test_a_connection_rests_after_a_response_that_came_before_the_end_of_the_body(
    serve: Serve,
) -> None:
    connection = serve(read_seconds=0.3).connect()
    whole = request("/v1/early", b"x" * 10_000)
    connection.sendall(whole[:5_000])
    assert read_response(connection) == (401, b"")
    connection.sendall(whole[5_000:])
    time.sleep(0.6)
    connection.sendall(request())
    assert read_response(connection) == (200, b"11")
    connection.sendall(whole[:5_000])
    assert read_response(connection) == (401, b"")
    assert read_response(connection)[0] == 408
    assert closed(connection)


def test_a_response_may_take_longer_than_a_request(serve: Serve) -> None:
    running = serve(read_seconds=0.2)
    running.app.may.clear()
    connection = running.connect()
    connection.sendall(request())
    time.sleep(0.5)
    running.app.may.set()
    assert read_response(connection)[0] == 200


def test_connections_are_limited(serve: Serve) -> None:
    running = serve(connections=3)
    kept = [running.connect() for _ in range(3)]
    for connection in kept:
        connection.sendall(request())
        assert read_response(connection)[0] == 200
    more = running.connect()
    status, body = read_response(more)
    assert (status, b"3 connections are open" in body) == (503, True)
    assert closed(more)
    kept[0].close()

    def free() -> bool:
        again = running.connect()
        try:
            again.sendall(request())
            return read_response(again)[0] == 200
        except (AssertionError, OSError):
            return False

    running.until(free)


def fill(running: Running[App], waiting: int) -> list[socket.socket]:
    running.app.may.clear()
    many = [running.connect() for _ in range(waiting)]
    for connection in many:
        connection.sendall(request())
    running.until(lambda: running.app.gates.live.inside == waiting)
    return many


def test_a_full_worker_refuses_before_the_application_is_called(serve: Serve) -> None:
    running = serve(max_queue=3)
    many = fill(running, 3)
    connection = running.connect()
    plain, chunked = request(), b"3\r\nabc\r\n0\r\n\r\n"
    odd = b"POST /v1/rank HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked
    for whole in (plain, odd, plain, request(body=b"x" * 20_000)):
        connection.sendall(whole)
        status, body = read_response(connection)
        assert (status, b"this worker is busy" in body) == (503, True)
    connection.sendall(plain[:40])  # in two parts
    time.sleep(0.05)
    connection.sendall(plain[40:])
    assert read_response(connection)[0] == 503
    assert running.app.called == 3
    assert running.app.refused == ["busy"] * 5
    connection.sendall(request("/healthz"))  # is never refused, but waits for the stand-in
    connection.sendall(b"")
    running.app.may.set()
    assert read_response(connection) == (200, b"11")
    assert [read_response(one)[0] for one in many] == [200] * 3
    connection.sendall(plain)
    assert read_response(connection)[0] == 200
    assert running.app.gates.live.inside == 0


def test_a_refused_connection_that_ends_is_closed(serve: Serve) -> None:
    running = serve(max_queue=1)
    fill(running, 1)
    for last in (request("/v1/rank", BODY, "Connection: close"), request(body=b"x" * 200_000)):
        connection = running.connect()
        connection.sendall(last)
        assert read_response(connection)[0] == 503
        assert closed(connection)


def test_events_have_a_gate_of_their_own(serve: Serve) -> None:
    running = serve(max_queue=1)
    fill(running, 1)
    events, more = running.connect(), running.connect()
    events.sendall(request("/v1/events"))
    running.until(lambda: running.app.gates.events.inside == 1)
    more.sendall(request("/v1/events"))
    assert read_response(more)[0] == 503
    running.app.may.set()
    assert read_response(events)[0] == 200


def test_clients_that_go_leave_their_places(serve: Serve) -> None:
    running = serve(max_queue=2)
    for connection in fill(running, 2):
        connection.sendall(request() * 3)  # pipelined, never started
        connection.close()
    time.sleep(0.05)
    running.app.may.set()
    running.until(lambda: running.app.gates.live.inside == 0)
    connection = running.connect()
    connection.sendall(request())
    assert read_response(connection)[0] == 200


@pytest.mark.parametrize(
    "junk", [b"\x00" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01" * 50]
)
def test_what_is_no_http_is_served_or_closed(serve: Serve, junk: bytes) -> None:
    connection = serve(read_seconds=0.3).connect()
    connection.sendall(junk)
    assert read_response(connection)[0] in {400, 408, 505}


CHUNKED = b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("head", [b"2\r\n{}\r\n0\r\nX: ", b"2;", b"\r\n"], ids=repr)
def test_what_surrounds_a_body_is_cut_off_when_it_grows(serve: Serve, head: bytes) -> None:
    running = serve(header_bytes=4_096)
    connection = running.connect()
    connection.sendall((CHUNKED if head.strip() else b"") + head)
    unit = b"a" * 1_000 if head.strip() else b"\r\n" * 500
    with suppress(OSError):
        for _ in range(100):
            connection.sendall(unit)
            time.sleep(0.002)
    running.until(lambda: running.app.refused == ["headers"])
    running.until(lambda: running.app.gates.live.inside == 0)


def test_many_small_chunks_are_no_headers(serve: Serve) -> None:
    connection = serve(header_bytes=1_024).connect()
    connection.sendall(CHUNKED)
    for _ in range(40):
        connection.sendall(b"1;ext=1\r\nx\r\n" * 50)
    connection.sendall(b"0\r\n\r\n")
    assert read_response(connection) == (200, b"2000")


def test_headers_behind_a_body_are_dropped(serve: Serve) -> None:
    running = serve()
    connection = running.connect()
    connection.sendall(CHUNKED + b"2\r\n{}\r\n0\r\nX-Request-Id: a\r\n\r\n" + request())
    assert read_response(connection) == (200, b"2")
    assert read_response(connection) == (200, b"11")
    assert [name for name, _ in running.app.headers] == [b"host", b"content-length"]


def test_pipelined_requests_take_no_places_before_they_start(serve: Serve) -> None:
    running = serve(max_queue=3)
    running.app.may.clear()
    one, other = running.connect(), running.connect()
    one.sendall(request() * 10)
    running.until(lambda: running.app.called == 1)
    other.sendall(request())
    running.until(lambda: running.app.called == 2)
    assert running.app.gates.live.inside == 2
    running.app.may.set()
    assert [read_response(one)[0] for _ in range(10)] == [200] * 10
    assert read_response(other)[0] == 200
    assert running.app.gates.live.inside == 0


def test_pipelined_requests_are_limited(serve: Serve) -> None:
    running = serve()
    running.app.may.clear()
    connection = running.connect()
    connection.sendall(request() * 100)
    running.until(lambda: running.app.refused == ["pipelined"])
    assert closed(connection)
    running.app.may.set()
    running.until(lambda: running.app.gates.live.inside == 0)
    assert running.app.called == 1


@pytest.mark.parametrize("path", ["/%761/rank", "http://x/v1/rank", "/v1/rank?x=/healthz"])
def test_other_spellings_of_a_path_pass_the_same_gate(serve: Serve, path: str) -> None:
    running = serve(max_queue=1)
    fill(running, 1)
    connection = running.connect()
    connection.sendall(request(path))
    assert read_response(connection)[0] == 503


def test_an_upgrade_is_ignored_without_a_word(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    connection = serve().connect()
    connection.sendall(request("/v1/rank", b"", "Connection: Upgrade", "Upgrade: websocket"))
    assert read_response(connection)[0] == 200
    assert not caplog.records
