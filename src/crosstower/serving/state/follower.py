"""The newest version of a shared database, followed in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import psycopg

from crosstower.errors import ServeError
from crosstower.storage.limited_connection import LimitedConnection

RESPONSE_SECONDS = 3.0
"""Longest wait for a response before the database is considered unavailable."""

_POLL, _PAUSE = 1.0, 0.25  # seconds
_LOG = logging.getLogger("uvicorn.error")


class Follower:
    """Listens for commits, and looks once a second in case a notification was lost.

    `version` is the number of commits as last seen. `away` is the reason why the database cannot be
    reached; None while it responds.

    Args:
        name: of the database, for the log.
        connect: opens a connection; its argument returns why to give up waiting.
        channel: of the notifications.

    """

    def __init__(
        self,
        name: str,
        connect: Callable[[Callable[[], str | None]], LimitedConnection],
        channel: str,
    ) -> None:
        self.version = 0
        self.away: str | None = None
        self._name, self._connect, self._channel = name, connect, channel
        self._confirmed = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def start(self, version: int) -> None:
        """Follow from a version that was just read."""
        self.version, self._confirmed = version, time.monotonic()
        self._thread.start()

    def reach(self, version: int) -> None:
        """Note a commit of this process, which must see it immediately."""
        self.version = max(version, self.version)

    def behind(self) -> float:
        """Return the seconds since `version` was last known to be the newest."""
        return time.monotonic() - self._confirmed

    def close(self) -> None:
        """End it."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                with self._connect(self._end) as raw:
                    raw.execute(f'LISTEN "{self._channel}"'.encode())
                    self._listen(raw)
            except (psycopg.Error, OSError, ServeError) as error:
                self._lost(error)
                self._ended.wait(_PAUSE)

    def _listen(self, raw: LimitedConnection) -> None:
        first = True
        while not self._ended.is_set():
            begin = time.monotonic()
            found = raw.execute("SELECT commits FROM meta").fetchone()
            commits = 0 if found is None else found[0]
            # Fewer than before only after a failure, on a server that has lost some.
            self.version = commits if first else max(commits, self.version)
            self._confirmed, first = begin, False
            if self.away is not None:
                self.away = None
                _LOG.warning("%s: is available again", self._name)
            for _ in raw.notifies(timeout=_POLL, stop_after=1):
                pass

    def _lost(self, error: Exception) -> None:
        if self._ended.is_set():
            return
        reason = " ".join(f"{error}".split()) or type(error).__name__
        if self.away is None:
            _LOG.warning("%s: %s; requests are answered from memory", self._name, reason)
        self.away = reason

    def _end(self) -> str | None:
        return "the state is closed" if self._ended.is_set() else None
