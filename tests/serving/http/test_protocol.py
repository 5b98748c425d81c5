"""Requests on a connection of a real server, and the time that they may take."""

import time

import pytest

from .conftest import Serve
from .connections import closed, read_response, request


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
    assert running.app.admission.live.inside == 0


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
