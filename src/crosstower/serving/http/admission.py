"""Admission of requests: a full worker rejects one before it is read."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_SHARE = 1 / 64  # weight of the newest interval in the mean
_FEW = 8  # requests are always admitted: one batch


class AdmissionLimit:
    """Counts requests from the end of their body to the end of their response.

    A request is admitted while fewer than `most` are in progress and those are expected to finish
    within `seconds`, judged by the mean time between two responses of a busy worker.

    Args:
        most: maximum number of requests in progress.
        seconds: maximum expected wait.

    """

    def __init__(self, *, most: int, seconds: float) -> None:
        self.most, self.seconds = most, seconds
        self.inside = 0
        self._interval = 0.0
        self._last = 0.0

    @property
    def full(self) -> bool:
        """Whether the next request is rejected."""
        if self.inside >= self.most:
            return True
        return self.inside >= _FEW and self.inside * self._interval > self.seconds

    def enter(self) -> None:
        """Count a request in."""
        if self.inside == 0:
            self._last = time.monotonic()  # idle time does not count
        self.inside += 1

    def leave(self) -> None:
        """Count a request out."""
        self.inside -= 1
        now = time.monotonic()
        self._interval += _SHARE * (now - self._last - self._interval)
        self._last = now


@dataclass
class QueuePlace:
    """The place of one request among those admitted; leaving it twice has no effect.

    `gone` is set when the client closes the connection.
    """

    limit: AdmissionLimit
    taken: bool = False
    gone: bool = False
    _task: asyncio.Task[object] | None = None

    def take(self) -> None:
        """Count the request in."""
        if not self.taken:
            self.taken = True
            self.limit.enter()

    def leave(self) -> None:
        """Count the request out."""
        if self.taken:
            self.taken = False
            self.limit.leave()

    def stop_with_client(self) -> None:
        """Cancel the current task when the client disconnects, or now if it already has.

        Raises:
            CancelledError: the client has disconnected.

        """
        self._task = asyncio.current_task()
        if self.gone:
            raise asyncio.CancelledError

    def client_gone(self) -> None:
        """Cancel the task of the request, if there is one to cancel."""
        self.gone = True
        if self._task is not None:
            self._task.cancel()


class Pauses:
    """Calls functions after a short pause, with one timer for all of them.

    Args:
        seconds: length of a pause.

    """

    def __init__(self, seconds: float = 0.03) -> None:
        self.seconds = seconds
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()

    def add(self, back: Callable[[], None]) -> None:
        """Call `back` after the pause, in the running event loop."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_later(self.seconds, self._end, loop)
        self._waiting.append((loop.time() + self.seconds, back))

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        until = loop.time() + self.seconds / 6  # calls that are nearly due join
        while self._waiting and self._waiting[0][0] <= until:
            self._waiting.popleft()[1]()
        if self._waiting:
            loop.call_later(self._waiting[0][0] - loop.time(), self._end, loop)


@dataclass(frozen=True)
class AdmissionLimits:
    """The limits of requests that use the bundle, and of writes of events."""

    live: AdmissionLimit
    events: AdmissionLimit
    pauses: Pauses = field(default_factory=Pauses)

    @property
    def any_full(self) -> bool:
        """Whether at least one limit is reached."""
        return self.live.full or self.events.full

    def of(self, path: bytes) -> AdmissionLimit | None:
        """Return the limit of a path; None for paths that are always served.

        A percent-encoded path, such as %76 for v, may belong to the API.
        """
        if not path.startswith(b"/v1/"):
            return self.live if b"%" in path or not path.startswith(b"/") else None
        if path.startswith(b"/v1/experiments"):
            return None  # a report takes seconds, of another process
        return self.events if path.startswith(b"/v1/events") else self.live


PLACE = "crosstower.place"  # key in the ASGI scope of a request
