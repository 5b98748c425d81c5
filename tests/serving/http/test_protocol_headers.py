"""Headers and bodies that are too large, or no HTTP."""

import json
import logging
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest

from crosstower.serving.http import protocol

from .conftest import Serve
from .connections import BODY, closed, read_response, request

CHUNKED = b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


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
    "junk", [b"\x00" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01" * 50]
)
def test_what_is_no_http_is_served_or_closed(serve: Serve, junk: bytes) -> None:
    connection = serve(read_seconds=0.3).connect()
    connection.sendall(junk)
    assert read_response(connection)[0] in {400, 408, 505}


def test_invalid_requests_are_counted_and_logged_once_a_minute(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(protocol, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for name in ("_count", "_next"):  # the filter is one for all tests
        monkeypatch.setattr(protocol._INVALID, name, 0)
    logger = logging.getLogger("uvicorn.error")  # servers in this process may have changed it
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    running = serve()
    for logged in (1, 1, 1, 2):
        connection = running.connect()
        connection.sendall(b"GET\r\n\r\n")
        status, body = read_response(connection)
        assert (status, json.loads(body)["status"]) == (400, 400)
        assert closed(connection)
        assert len(caplog.records) == logged
        now[0] += 25.0
    assert running.app.refused == ["not_http"] * 4
    assert [r.getMessage().split()[0] for r in caplog.records] == ["1", "3"]


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
    running.until(lambda: running.app.admission.live.inside == 0)


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


def test_an_upgrade_is_ignored_without_a_word(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    connection = serve().connect()
    connection.sendall(request("/v1/rank", b"", "Connection: Upgrade", "Upgrade: websocket"))
    assert read_response(connection)[0] == 200
    assert not caplog.records
