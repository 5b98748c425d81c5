"""The ASGI layer around all routes: limits and headers of every request and response.

Ids of requests, foreign hosts, limits of bodies, security headers, and metrics of latency.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crosstower.serving.http.admission import PLACE, QueuePlace
from crosstower.serving.http.log_format import log_request
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.problems import problem_response
from crosstower.serving.http.request_record import RequestRecord
from crosstower.serving.http.settings import WARMING
from crosstower.serving.http.tracing import QUIET, RequestTrace, Tracing

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


_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


class Hosts:
    """Names and addresses that a server without tokens accepts.

    A page of another site can make a browser send requests to a server on its own machine, by a
    name that suddenly means 127.0.0.1 (DNS rebinding). Such a request names the other site in Host
    or Origin. A literal address cannot be rebound.

    Args:
        bind: the address that the server listens on; a wildcard stands for all literal addresses.
        names: further host names, such as that of a proxy.

    """

    def __init__(self, bind: str, names: Iterable[str] = ()) -> None:
        self._names = _LOCAL | {bind.lower(), *(name.lower() for name in names)}
        self._any_address = bind in _ANY

    def fault(self, host: str | None, origin: str | None) -> tuple[int, str] | None:
        """Return (status, sentence) for a request with a foreign host name or origin, else None.

        >>> hosts = Hosts("127.0.0.1")
        >>> hosts.fault("localhost:8000", None) is None
        True
        >>> hosts.fault("evil.example", None)[0], hosts.fault("localhost", "http://evil.example")[0]
        (421, 403)
        """
        if host is None or not self._allows(_name(f"//{host}")):
            return 421, (
                "this host name is not served; use the server's address, or start the server with"
                " --host-name NAME or with tokens"
            )
        if origin is not None and not self._allows(_name(origin)):
            return 403, "pages of other sites may not use this server; see --host-name"
        return None

    def _allows(self, name: str | None) -> bool:
        if name is None:
            return False
        return name in self._names or (self._any_address and _is_address(name))


class TooLargeError(Exception):
    """A body is larger than the limit."""


class RequestMiddleware:
    """Wrap an app.

    Args:
        app: the application.
        body_bytes: of the largest body.
        metrics: counts requests.
        hosts: host names that requests may use; None where tokens protect it.
        tracing: begins the trace of each request; None for no traces.
        log: whether to log each request.

    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_bytes: int,
        metrics: ServerMetrics,
        hosts: Hosts | None,
        tracing: Tracing | None = None,
        log: bool = False,
    ) -> None:
        self.app, self.body_bytes, self.metrics = app, body_bytes, metrics
        self.hosts, self.tracing, self.log = hosts, tracing, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        trace = self._trace(scope)
        own = [*_HEADERS, (b"x-request-id", request_id.encode())]
        if trace is not None:
            own.append((b"traceresponse", trace.response.encode()))
        response = _Response(send, own)
        place: QueuePlace | None = scope.get(PLACE)
        try:
            await self._within(scope, receive, response.send)
        except asyncio.CancelledError:
            if place is None or not place.gone:
                raise
            response.status = _CLIENT_GONE
        finally:
            if place is not None:
                place.leave()
            if WARMING not in scope:
                seconds = time.perf_counter() - start
                self._record(finished(scope, response.status, seconds), trace)

    def _trace(self, scope: Scope) -> RequestTrace | None:
        if self.tracing is None or WARMING in scope:
            return None
        return self.tracing.begin(scope)

    def _record(self, request: RequestRecord, trace: RequestTrace | None) -> None:
        """Count, log and trace a request that has its response."""
        self.metrics.request(request.route, request.status, request.seconds)
        if self.log and not (request.route in QUIET and request.status < 400):
            log_request(request)
        if trace is not None:
            trace.end(request)

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


def finished(scope: Scope, status: int, seconds: float) -> RequestRecord:
    """Return the record of a request whose id is in the state of its scope."""
    path = getattr(scope.get("route"), "path", None)
    route = path if isinstance(path, str) else "none"  # never client input
    return RequestRecord(scope["method"], route, status, seconds, scope["state"]["request_id"])


class _Response:
    """Adds headers to a response, and keeps its status."""

    def __init__(self, send: Send, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._send, self._headers, self.status = send, headers, 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", []), *self._headers]
        await self._send(message)


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


def _name(address: str) -> str | None:
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return None if parts.path or "@" in parts.netloc else parts.hostname


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
