from types import SimpleNamespace

import httpx
import pytest
from pydantic import SecretStr

from crosstower.client import (
    ClientError,
    UnexpectedResponseError,
    UnreachableError,
    connection,
    operations,
)
from crosstower.client.connection import Body, Options, options, reaching, sent
from crosstower.client.operations import Call
from crosstower.client.reading import hiding

URL = httpx.URL("http://server:8000")
CALL = Call(operations.MODEL)


def made(base_url: str = "http://server:8000", token: str | None = None) -> Options:
    return options(base_url, token=token, timeout=3.0, max_connections=7, verify=True)


@pytest.mark.parametrize(
    "given",
    ["", "server:8000", "ftp://server", "http://", "http://x?a=1", "http://x#a", "http://x:y"],
)
def test_an_address_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ClientError, match="base_url: expected http://HOST:PORT, got"):
        made(given)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ClientError, match="give token=TOKEN") as caught:
        made("http://anna:hunter2@server")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "two words-0123456789", "grün-token", "line\nbreak"])
def test_a_token_that_is_none_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(ClientError, match="token: expected one token") as caught:
        made(token=token)
    assert not token or token not in str(caught.value)


def test_the_timeout_and_the_pool_are_as_given() -> None:
    found = made()
    assert found["timeout"] == httpx.Timeout(3.0)
    assert found["limits"].max_connections == 7
    assert found["headers"]["User-Agent"].startswith("crosstower/")
    assert found["auth"] is None


def test_only_the_response_of_a_slow_operation_may_take_longer() -> None:
    timeout = httpx.Timeout(3.0)
    assert sent(CALL, timeout, 90.0)["timeout"] == timeout
    slow = sent(operations.experiment_report(None), timeout, 90.0)["timeout"]
    assert slow == httpx.Timeout(read=90.0, connect=3.0, write=3.0, pool=3.0)


@pytest.mark.parametrize(
    ("error", "words", "maybe"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "refused; check the address", False),
        (httpx.ConnectTimeout(""), "connect timeout", False),
        (httpx.PoolTimeout(""), "pool timeout", False),
        (httpx.ReadTimeout(""), "read timeout", True),
        (httpx.WriteError(""), "WriteError; check the address", True),
        (httpx.RemoteProtocolError("Server disconnected"), "disconnected", True),
    ],
)
def test_errors_of_the_network_say_what_happened(error: Exception, words: str, maybe: bool) -> None:
    with pytest.raises(UnreachableError, match=words) as caught, reaching(CALL, URL, str):
        raise error
    assert str(caught.value).startswith("http://server:8000: GET /v1/model: ")
    assert caught.value.sent is maybe


def test_a_response_that_cannot_be_unpacked_is_an_error() -> None:
    with pytest.raises(ClientError, match="GET /v1/model: bad gzip"), reaching(CALL, URL, str):
        raise httpx.DecodingError("bad gzip")


def test_a_token_that_a_strange_server_sends_back_is_not_shown() -> None:
    hide = hiding(SecretStr("s3cr3t"))
    with pytest.raises(UnreachableError, match="Bearer TOKEN") as caught, reaching(CALL, URL, hide):
        raise httpx.RemoteProtocolError("illegal status line: Bearer s3cr3t")
    assert caught.value.__cause__ is None


def test_a_body_of_endless_size_or_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(connection, "_MOST_BYTES", 10)
    monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda: now[0]))
    body = Body(CALL, httpx.Response(200), 3.0)
    body.add(b"12345")
    now[0] = 2.9
    body.add(b"67890")
    assert body.content == b"1234567890"
    with pytest.raises(
        UnexpectedResponseError, match=r"GET /v1/model: 200: .* larger than 10 bytes"
    ):
        body.add(b"1")
    dripping = Body(CALL, httpx.Response(200), 3.0)
    now[0] = 6.0
    with pytest.raises(httpx.ReadTimeout):
        dripping.add(b"1")
    Body(CALL, httpx.Response(200), None).add(b"1")


@pytest.mark.parametrize("coding", ["gzip, gzip", "zstd", "br", "deflate"])
def test_only_the_compression_that_was_offered_is_read(coding: str) -> None:
    headers = {"Content-Encoding": coding}
    with pytest.raises(httpx.DecodingError, match="expected gzip"):
        Body(CALL, httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"")), 1.0)
    assert made()["headers"]["Accept-Encoding"] == "gzip"
