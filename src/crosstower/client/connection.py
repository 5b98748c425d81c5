"""Shared parts of both clients: address, token, timeouts and the connection pool."""

from __future__ import annotations

import ssl
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib import metadata
from typing import Any, TypedDict

import httpx

from crosstower.client.errors import ClientError, UnexpectedResponseError, UnreachableError
from crosstower.client.operations import Call
from crosstower.client.reading import Hide

_MOST_BYTES = 1 << 28  # of a response
_CODINGS = ("", "identity", "gzip")
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class _Bearer(httpx.Auth):
    """Adds the token to each request; its representation does not show it."""

    def __init__(self, token: str) -> None:
        self.__header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Add the header."""
        request.headers["Authorization"] = self.__header
        yield request


class Options(TypedDict):
    """Arguments of the clients of httpx."""

    base_url: httpx.URL
    auth: httpx.Auth | None
    headers: dict[str, str]
    timeout: httpx.Timeout
    limits: httpx.Limits
    verify: ssl.SSLContext | bool


def options(
    base_url: str,
    *,
    token: str | None,
    timeout: float | httpx.Timeout,
    max_connections: int,
    verify: ssl.SSLContext | bool,
) -> Options:
    """Return the arguments of a client of httpx, checked.

    Raises:
        ClientError: the address or the token is wrong.

    """
    return {
        "base_url": _address(base_url),
        "auth": None if token is None else _Bearer(_checked(token)),
        "headers": {
            "User-Agent": f"crosstower/{metadata.version('crosstower')}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        },
        "timeout": httpx.Timeout(timeout),
        "limits": httpx.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections
        ),
        "verify": verify,
    }


class Sent(TypedDict):
    """Arguments of `httpx.Client.stream`."""

    method: str
    url: str
    params: list[tuple[str, str | int | float | bool | None]] | None
    content: bytes | None
    headers: dict[str, str]
    timeout: httpx.Timeout


def sent(call: Call[Any], timeout: httpx.Timeout, slow_timeout: float) -> Sent:
    """Return the arguments of the request of a call.

    Args:
        call: the call.
        timeout: of all operations.
        slow_timeout: seconds that the response of a slow operation may take.

    """
    made: Sent = {
        "method": call.operation.method,
        "url": call.operation.path,
        "params": list(call.params) or None,
        "content": call.content,
        "headers": {} if call.content is None else {"Content-Type": "application/json"},
        "timeout": timeout,
    }
    if call.operation.slow:
        made["timeout"] = httpx.Timeout(
            read=slow_timeout, connect=timeout.connect, write=timeout.write, pool=timeout.pool
        )
    return made


class Body:
    """The body of a response as it arrives, within limits of size and time.

    Args:
        call: that it responds to.
        response: whose headers have arrived.
        seconds: for the whole body; None without a limit.

    Raises:
        httpx.DecodingError: the body is compressed in a way that was not offered, which may unfold
            without limit.

    """

    def __init__(self, call: Call[Any], response: httpx.Response, seconds: float | None) -> None:
        self._call, self._status = call, response.status_code
        self._parts, self._size = list[bytes](), 0
        self._until = None if seconds is None else time.monotonic() + seconds
        coding = response.headers.get("content-encoding", "").strip().lower()
        if coding not in _CODINGS:
            raise httpx.DecodingError(f"the body has the encoding {coding!r:.60}; expected gzip")

    def add(self, part: bytes) -> None:
        """Add a part.

        Raises:
            httpx.ReadTimeout: the time is over.
            UnexpectedResponseError: the body is too large.

        """
        self._parts.append(part)
        self._size += len(part)
        if self._size > _MOST_BYTES:
            raise UnexpectedResponseError(
                f"{self._call}: {self._status}: the response is larger than {_MOST_BYTES:,} bytes;"
                " check the address, or ask for fewer items",
                status=self._status,
            )
        if self._until is not None and time.monotonic() > self._until:
            raise httpx.ReadTimeout("the body is not complete in time")

    @property
    def content(self) -> bytes:
        """The parts as one."""
        return b"".join(self._parts)


@contextmanager
def reaching(call: Call[Any], base_url: httpx.URL, hide: Hide) -> Generator[None]:
    """Turn the errors of httpx into those of the client.

    Args:
        call: that is sent.
        base_url: of the server.
        hide: hides the token, which a strange server may send back.

    Raises:
        UnreachableError: there is no complete response.

    """
    try:
        yield
    except httpx.TimeoutException as error:
        kind = type(error).__name__.removesuffix("Timeout").lower()
        words = f"no response in time ({kind} timeout); try again, or give a larger timeout"
        raise _unreachable(call, base_url, error, words) from error
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        words = f"{hide(reason)}; check the address, and that the server runs"
        cause = error if hide(reason) == reason else None
        raise _unreachable(call, base_url, error, words) from cause
    except (httpx.InvalidURL, httpx.DecodingError) as error:
        raise ClientError(f"{base_url}: {call}: {error}") from error


def _unreachable(
    call: Call[Any], base_url: httpx.URL, error: Exception, words: str
) -> UnreachableError:
    return UnreachableError(f"{base_url}: {call}: {words}", sent=not isinstance(error, _NOT_SENT))


def _address(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.userinfo:
        raise ClientError(
            "base_url: holds a user or password, which would appear in logs; give token=TOKEN"
        )
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise ClientError(f"base_url: expected http://HOST:PORT, got {base_url!r:.60}")
    return url


def _checked(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ClientError(
            "token: expected one token of printable ASCII characters without spaces, as in"
            " CROSSTOWER_READ_TOKEN of the server"
        )
    return token
