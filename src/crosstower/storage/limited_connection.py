"""A connection to PostgreSQL whose statements end, even if the network swallows every packet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import Ready

Result = TypeVar("Result")


class LimitedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up on a server that does not respond.

    `limit` is in seconds per statement; `reason` returns why to give up earlier, None to wait on.
    """

    limit: float = math.inf
    reason: Callable[[], str | None] = staticmethod(lambda: None)

    def wait(self, gen: PQGen[Result], *more: Any, **options: Any) -> Result:
        """Consume a generator of psycopg, up to the time limit."""
        return super().wait(self._limited(gen), *more, **options)

    def _limited(self, gen: PQGen[Result]) -> PQGen[Result]:
        end = time.monotonic() + self.limit
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready == Ready.NONE:  # psycopg wakes up ten times per second
                    late = f"no response for {self.limit:g} seconds"
                    reason = late if time.monotonic() > end else self.reason()
                    if reason is not None:
                        self.pgconn.finish()  # what it would have said is lost
                        raise psycopg.OperationalError(reason)
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value
