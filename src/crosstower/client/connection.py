"""What both clients are made of: address, token, timeouts and the pool of connections."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from importlib import metadata
from typing import Any, TypedDict

import httpx

from crosstower.client.errors import ClientError, UnreachableError
from crosstower.client.operations import Call

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
        },
        "timeout": httpx.Timeout(timeout),
        "limits": httpx.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections
        ),
        "verify": verify,
    }


class Sent(TypedDict, total=False):
    """Arguments of `httpx.Client.request`."""

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


@contextmanager
def reaching(call: Call[Any], base_url: httpx.URL) -> Generator[None]:
    """Turn the errors of httpx into those of the client.

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
        words = f"{str(error) or type(error).__name__}; check the address, and that the server runs"
        raise _unreachable(call, base_url, error, words) from error
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
