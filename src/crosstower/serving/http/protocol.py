"""HTTP connections with limits, enforced before a task is started or a body is parsed.

Adds to uvicorn's protocol: limits on connections, on the size and number of headers, and on the
time to send a request and to read its response, and refusals by a full worker. After such a
refusal, the connection is not read for a moment, so immediate retries of clients do not slow down
others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from crosstower.serving.http.admission import PLACE, QueuePlace
from crosstower.serving.http.problems import BUSY, refusal_bytes
from crosstower.serving.http.unparsed_request import whole_post

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

    from crosstower.serving.http.service import Service

_BUSY_BYTES = refusal_bytes(503, BUSY)
_SMALL_BODY = 65_536  # bytes; larger bodies of refused requests are not read
_PIPELINED = 32  # maximum number of pipelined requests that wait
_NOT_HTTP = "Invalid HTTP request received."  # uvicorn's words
_WORDS = (
    "%d invalid HTTP requests, such as TLS on this port, which has none; they are counted in"
    " crosstower_refused_total and logged at most once a minute"
)
_LOG_SECONDS = 60.0


class InvalidRequests(logging.Filter):
    """Logs invalid requests as one line per minute: anybody could fill the log."""

    def __init__(self) -> None:
        super().__init__()
        self._count, self._next = 0, 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged; that of an invalid request gets their number."""
        if record.msg != _NOT_HTTP:
            return True
        self._count += 1
        if time.monotonic() < self._next:
            return False
        record.msg = _WORDS
        record.args = (self._count,)
        self._count, self._next = 0, time.monotonic() + _LOG_SECONDS
        return True


_INVALID = InvalidRequests()


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a worker."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        service: Service = self.config.loaded_app.state.service  # type: ignore[union-attr]
        self._limits, self._metrics = service.settings.limits, service.metrics
        self._admission = service.admission
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        # A request has begun; its headers are complete; the connection is being closed.
        self._begun = self._headed = self._over = False
        # Bytes of this request; bytes since its last complete part (headers or chunk of the body).
        self._counted = self._fed = 0
        self._refused = False
        self._running: RequestResponseCycle | None = None  # the request in progress
        self.logger.addFilter(_INVALID)  # the same one is added once

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, unless there are too many."""
        super().connection_made(transport)
        most = self._limits.connections
        if len(self.connections) > most:
            self._end(503, f"{most:,} connections are open; try again in a second", "connections")
        else:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the places of the connection's requests and cancel their work."""
        self._over = True
        self._stop("_reading")
        self._stop("_writing")
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True  # uvicorn marks the newest, which may be pipelined
            if (place := _place_of(self._running)) is not None:
                place.client_gone()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive bytes; a request must be complete in time and have small headers."""
        if self._over or self._refused_at_a_glance(data):
            return
        self._fed += len(data)
        super().data_received(data)
        if self._fed > self._limits.header_bytes and not self.transport.is_closing():
            self._end_of_large_headers()
        elif self._over:
            return
        elif self._begun or self._fed:
            self._await_request()
        elif self._idle:  # before the end of its body, as after a wrong token
            self._rest()

    def _refused_at_a_glance(self, data: bytes) -> bool:
        """Reject a plain request to a full worker before it is parsed."""
        if not self._admission.any_full or self._begun or not self._idle or self._fed:
            return False
        path = whole_post(data, self._limits.header_bytes)
        limit = self._admission.of(path) if path is not None else None
        if limit is None or not limit.full:
            return False
        self._unset_keepalive_if_required()
        self._metrics.refused("busy")
        self._refuse_and_pause()
        return True

    def pause_writing(self) -> None:
        """Give the client a limited time to read its response."""
        super().pause_writing()
        self._writing = self.loop.call_later(self._limits.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue writing, as the client reads."""
        super().resume_writing()
        self._stop("_writing")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._begun, self._headed, self._refused = True, False, False
        self._counted = 0

    def on_url(self, url: bytes) -> None:
        """Receive a part of the URL."""
        self._counted += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Receive a header, up to the limit; trailers are dropped."""
        if self._headed:
            return
        self._counted += len(name) + len(value) + 4
        if len(self.headers) <= self._limits.headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless the worker is full; then the body is discarded."""
        self._headed, self._fed = True, 0
        if self._over:
            return
        limits = self._limits
        if len(self.headers) > limits.headers or self._counted > limits.header_bytes:
            self._end_of_large_headers()
            return
        if len(self.pipeline) >= _PIPELINED:
            self._end(
                503,
                "too many requests were sent without reading responses; read them first",
                "pipelined",
            )
            return
        limit = self._admission.of(self.url)
        if limit is not None and limit.full and self._idle:
            self._refused = True
            self._metrics.refused("busy")
            return
        if limit is not None:
            self.scope[PLACE] = QueuePlace(limit)  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Start a request, pipelined ones in turn."""
        self._running = cycle
        if (place := _place_of(cycle)) is not None and not cycle.more_body:
            place.take()
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Receive a part of a body; that of a refused request is discarded."""
        self._fed = 0
        if self._over:
            return
        if not self._refused:
            super().on_body(body)
            return
        self._counted += len(body)
        if self._counted > _SMALL_BODY:
            self._close(503, BUSY)

    def on_message_complete(self) -> None:
        """Admit a complete request, or refuse it."""
        self._begun, self._fed = False, 0
        self._stop("_reading")
        if self._over:
            return
        if self._refused:
            self._refuse()
            return
        super().on_message_complete()
        if (cycle := self._cycle) is None or cycle.response_complete or self.pipeline:
            return  # a pipelined request is admitted when it starts
        if (place := _place_of(cycle)) is not None:
            place.take()

    @property
    def _idle(self) -> bool:
        """Whether all earlier requests of the connection have their response."""
        cycle = self._cycle
        return (cycle is None or cycle.response_complete) and not self.pipeline

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        """The newest request that was started; None before the first."""
        return self.cycle

    def send_400_response(self, msg: str) -> None:
        """Reject bytes that are no HTTP request, and close the connection."""
        detail = f"{msg} Send HTTP/1.1; this port has no TLS"
        self._end(400, detail, "not_http")

    def _unsupported_upgrade_warning(self) -> None:
        """Ignore upgrades without a warning, which anybody could use to fill the log."""

    def _refuse(self) -> None:
        """Respond immediately, and read the connection again after a pause."""
        if self.parser is None or not self.parser.should_keep_alive():
            self._close(503, BUSY)
            return
        self._refuse_and_pause()

    def _refuse_and_pause(self) -> None:
        self.transport.write(_BUSY_BYTES)
        self.flow.pause_reading()
        self._admission.pauses.add(self.read_again)

    def read_again(self) -> None:
        """Read again after the pause that follows a refusal."""
        if self._over or self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._rest()

    def _rest(self) -> None:
        """Wait for another request until the keep-alive timeout."""
        self._stop("_reading")
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _end_of_large_headers(self) -> None:
        most, size = self._limits.headers, self._limits.header_bytes
        self._end(431, f"expected at most {most} headers of {size:,} bytes in total", "headers")

    def _late(self) -> None:
        """Close a connection whose request is late, with a response if it has begun."""
        seconds = self._limits.read_seconds
        self._end(408, f"the request was not complete within {seconds:g} seconds", "slow")

    def _end(self, status: int, detail: str, reason: str) -> None:
        self._metrics.refused(reason)
        self._close(status, detail)

    def _close(self, status: int, detail: str) -> None:
        """Respond if a response is still possible, and close."""
        mine = self._begun and self._headed and not self.pipeline
        silent = mine and (cycle := self._cycle) is not None and not cycle.response_started
        if self._idle or silent:
            self.transport.write(refusal_bytes(status, detail, close=True))
        self._over = True
        self._stop("_reading")
        self.transport.close()

    def _await_request(self) -> None:
        """Start the timer of a request, unless it is running."""
        if self._reading is None:
            self._reading = self.loop.call_later(self._limits.read_seconds, self._late)

    def _stop(self, timer: str) -> None:
        handle: asyncio.TimerHandle | None = getattr(self, timer)
        if handle is not None:
            handle.cancel()
            setattr(self, timer, None)


def _place_of(cycle: RequestResponseCycle) -> QueuePlace | None:
    place = cycle.scope.get(PLACE)
    return place if isinstance(place, QueuePlace) else None
