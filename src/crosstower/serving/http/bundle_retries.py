"""The bundle that was chosen for all servers, and that this one cannot open."""

from __future__ import annotations

import time

_PATIENCE = 15.0  # seconds until the files of a bundle should have reached every machine
_PAUSE = 30.0  # seconds between later attempts


class BundleRetries:
    """When to try a bundle again, and when to give it up.

    Args:
        patient: the servers are on several machines, which a bundle may reach a little later.

    """

    def __init__(self, *, patient: bool) -> None:
        self._patience = _PATIENCE if patient else 0.0
        self._pause = _PAUSE if patient else float("inf")
        self._number, self._reason = 0, ""
        self._first = self._next = 0.0

    def may_try(self, number: int) -> bool:
        """Return whether to open a choice of a bundle now; it is the newest one."""
        if number != self._number:
            self.forget()
        return time.monotonic() >= self._next

    def forget(self) -> None:
        """Note that the bundle that was chosen is served."""
        self._number, self._reason, self._next = 0, "", 0.0

    def is_final(self, number: int, reason: str) -> bool:
        """Note that a choice cannot be opened; return whether that has been so for long enough.

        Args:
            number: of the choice.
            reason: as a sentence.

        """
        now = time.monotonic()
        if number != self._number:
            self._number, self._first = number, now
        self._reason = reason
        final = now - self._first >= self._patience
        self._next = now + self._pause if final else now
        return final

    def reason(self) -> str | None:
        """Return why this server does not serve the bundle that was chosen, None if it can."""
        if not self._reason:
            return None
        return f"the bundle that was chosen cannot be served here: {self._reason}"
