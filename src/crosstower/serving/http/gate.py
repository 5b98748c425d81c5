"""How many requests a worker has taken on, so that one too many is refused before it is read."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_SHARE = 1 / 64  # of the newest interval in the mean
_FEW = 8  # requests are always taken on: one group that is answered together


class Gate:
    """Counts requests from the end of their body to the end of their answer.

    A request is taken on while fewer than `most` are inside, and while those inside are expected
    to be answered within `seconds`, judged by the mean time between two answers of a busy worker.

    Args:
        most: requests inside.
        seconds: longest expected wait.

    """

    def __init__(self, *, most: int, seconds: float) -> None:
        self.most, self.seconds = most, seconds
        self.inside = 0
        self._interval = 0.0
        self._last = 0.0

    @property
    def full(self) -> bool:
        """Whether one more request would be one too many."""
        if self.inside >= self.most:
            return True
        return self.inside >= _FEW and self.inside * self._interval > self.seconds

    def enter(self) -> None:
        """Count a request in."""
        if self.inside == 0:
            self._last = time.monotonic()  # it was idle: the time since then was not needed
        self.inside += 1

    def leave(self) -> None:
        """Count a request out."""
        self.inside -= 1
        now = time.monotonic()
        self._interval += _SHARE * (now - self._last - self._interval)
        self._last = now


@dataclass
class Place:
    """The place of one request inside a gate; it can be left more than once.

    `gone` is set once the client has closed the connection.
    """

    gate: Gate
    taken: bool = False
    gone: bool = False
    _task: asyncio.Task[object] | None = None

    def take(self) -> None:
        """Enter the gate."""
        if not self.taken:
            self.taken = True
            self.gate.enter()

    def leave(self) -> None:
        """Leave the gate."""
        if self.taken:
            self.taken = False
            self.gate.leave()

    def stop_with_client(self) -> None:
        """Cancel the current task when the client goes, which may have happened already.

        Raises:
            CancelledError: the client has gone.

        """
        self._task = asyncio.current_task()
        if self.gone:
            raise asyncio.CancelledError

    def client_gone(self) -> None:
        """Cancel the task of the request if its work stops with the client."""
        self.gone = True
        if self._task is not None:
            self._task.cancel()


class Pauses:
    """Calls back after a short pause; one timer serves all that wait.

    Args:
        seconds: of a pause.

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
        until = loop.time() + self.seconds / 6  # those that are nearly due go along
        while self._waiting and self._waiting[0][0] <= until:
            self._waiting.popleft()[1]()
        if self._waiting:
            loop.call_later(self._waiting[0][0] - loop.time(), self._end, loop)


@dataclass(frozen=True)
class Gates:
    """The gate of requests that need the live bundle, and that of writes of events."""

    live: Gate
    events: Gate
    pauses: Pauses = field(default_factory=Pauses)

    @property
    def any_full(self) -> bool:
        """Whether one of them is full."""
        return self.live.full or self.events.full

    def of(self, path: bytes) -> Gate | None:
        """Return the gate of a path; None for those that are always answered.

        A path that is written in an unusual way, such as %76 for v, may be one of the API.
        """
        if not path.startswith(b"/v1/"):
            return self.live if b"%" in path or not path.startswith(b"/") else None
        return self.events if path.startswith(b"/v1/events") else self.live


PLACE = "crosstower.place"  # the key of a request's place in its ASGI scope
