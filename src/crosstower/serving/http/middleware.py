"""The ASGI layer around all routes: limits and headers of every request and response.

Ids of requests, foreign hosts, limits of bodies, security headers, and the figures of latency.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from contextlib import suppress

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crosstower.serving.http.gate import PLACE, Place
from crosstower.serving.http.hosts import Hosts
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.problems import problem_response
from crosstower.serving.http.settings import WARMING

_CLIENT_GONE = 499  # in the metrics only, as in those of nginx
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_POLICY = (
    "default-src 'self'; style-src 'self'; img-src 'self' data:; script-src 'self';"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class TooLargeError(Exception):
    """A body is larger than the limit."""


class RequestMiddleware:
    """Wrap an app.

    Args:
        app: the application.
        body_bytes: of the largest body.
        metrics: counts requests.
        hosts: host names that requests may use; None where tokens protect it.

    """

    def __init__(
        self, app: ASGIApp, *, body_bytes: int, metrics: ServerMetrics, hosts: Hosts | None
    ) -> None:
        self.app, self.body_bytes, self.metrics = app, body_bytes, metrics
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id

        async def respond(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                named = (b"x-request-id", request_id.encode())
                message["headers"] = [*message.get("headers", []), *_HEADERS, named]
            await send(message)

        place: Place | None = scope.get(PLACE)
        try:
            await self._within(scope, receive, respond)
        except asyncio.CancelledError:
            if place is None or not place.gone:
                raise
            status = _CLIENT_GONE
        finally:
            if place is not None:
                place.leave()
            if WARMING not in scope:
                self.metrics.request(_route(scope), status, time.perf_counter() - start)

    async def _within(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless its host name is foreign or its body too large."""
        if (foreign := self._foreign(scope)) is not None:
            await foreign(scope, receive, send)
            return
        length = _content_length(scope)
        if length is not None and length > self.body_bytes:
            await self._refuse(scope, receive, send)
            return
        body = _Body(receive, self.body_bytes)

        async def respond(message: Message) -> None:
            if not body.too_large:
                await send(message)

        with suppress(TooLargeError):
            await self.app(scope, body.receive, respond)
        # The cause, whatever the response to a truncated body.
        if body.too_large:
            await self._refuse(scope, receive, send)

    def _foreign(self, scope: Scope) -> Response | None:
        if self.hosts is None:
            return None
        hosts, origins = _headers(scope, b"host"), _headers(scope, b"origin")
        host = hosts[0] if len(hosts) == 1 else None  # several are ambiguous
        fault = self.hosts.fault(host, ",".join(origins) if origins else None)
        if fault is None:
            return None
        self.metrics.refused("foreign")
        return problem_response(*fault)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.metrics.refused("too_large")
        detail = f"the body is larger than {self.body_bytes:,} bytes; send less at a time"
        response = problem_response(413, detail, headers={"Connection": "close"})
        await response(scope, receive, send)


class _Body:
    """The body of a request, truncated at the limit."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left = receive, most
        self.too_large = False

    async def receive(self) -> Message:
        """Return the next part.

        Raises:
            TooLargeError: there is more than the limit.

        """
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.too_large = True
            raise TooLargeError
        return message


def _headers(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next(iter(_headers(scope, wanted)), None)


def _request_id(scope: Scope) -> str:
    given = _header(scope, b"x-request-id")
    return given if given is not None and _ID.fullmatch(given) else uuid.uuid4().hex


def _content_length(scope: Scope) -> int | None:
    given = _header(scope, b"content-length")
    return int(given) if given is not None and given.isdecimal() and len(given) < 20 else None


def _route(scope: Scope) -> str:
    """Return the template of the route: client input must not become a label."""
    route = scope.get("route")
    path = getattr(route, "path", None)
    return path if isinstance(path, str) else "none"
