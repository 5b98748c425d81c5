"""Connections and requests that a busy worker refuses."""

import time

import pytest

from .conftest import Serve, fill
from .connections import BODY, closed, read_response, request


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
    assert running.app.admission.live.inside == 0


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
    running.until(lambda: running.app.admission.events.inside == 1)
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
    running.until(lambda: running.app.admission.live.inside == 0)
    connection = running.connect()
    connection.sendall(request())
    assert read_response(connection)[0] == 200


def test_pipelined_requests_take_no_places_before_they_start(serve: Serve) -> None:
    running = serve(max_queue=3)
    running.app.may.clear()
    one, other = running.connect(), running.connect()
    one.sendall(request() * 10)
    running.until(lambda: running.app.called == 1)
    other.sendall(request())
    running.until(lambda: running.app.called == 2)
    assert running.app.admission.live.inside == 2
    running.app.may.set()
    assert [read_response(one)[0] for _ in range(10)] == [200] * 10
    assert read_response(other)[0] == 200
    assert running.app.admission.live.inside == 0


def test_pipelined_requests_are_limited(serve: Serve) -> None:
    running = serve()
    running.app.may.clear()
    connection = running.connect()
    connection.sendall(request() * 100)
    running.until(lambda: running.app.refused == ["pipelined"])
    assert closed(connection)
    running.app.may.set()
    running.until(lambda: running.app.admission.live.inside == 0)
    assert running.app.called == 1


@pytest.mark.parametrize("path", ["/%761/rank", "http://x/v1/rank", "/v1/rank?x=/healthz"])
def test_other_spellings_of_a_path_pass_the_same_gate(serve: Serve, path: str) -> None:
    running = serve(max_queue=1)
    fill(running, 1)
    connection = running.connect()
    connection.sendall(request(path))
    assert read_response(connection)[0] == 503
