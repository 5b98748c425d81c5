"""The one thread of a worker that uses its bundles, and the bounded queue of requests for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import TypeVar

import torch

from crosstower.serving.http.problems import busy, too_late
from crosstower.serving.http.tracing import current_trace

Result = TypeVar("Result")


class LiveThread:
    """Runs all work that reads or changes a bundle, one piece after another.

    Args:
        threads: CPU threads that a piece of work uses.
        max_queue: requests that may wait.
        timeout: seconds until a waiting request is refused.

    """

    def __init__(self, *, threads: int, max_queue: int, timeout: float) -> None:
        self.executor = ThreadPoolExecutor(1, "live", torch.set_num_threads, (threads,))
        self.timeout, self.waiting = timeout, 0
        self._max_queue = max_queue

    async def do(self, work: Callable[[], Result]) -> Result:
        """Return the result of the server's own work, which has no limit."""
        loop, context = asyncio.get_running_loop(), copy_context()
        return await loop.run_in_executor(self.executor, lambda: context.run(work))

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return the result of work for a request.

        Raises:
            ApiError: the queue is full, or it took too long.

        """
        async with self.place() as until:
            return await self.do(_queued(lambda: self._in_time(work, until)))

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[float]:
        """Take a place in the queue, yield the deadline of its turn, and end the wait at it.

        Raises:
            ApiError: the queue is full, or the deadline has passed.

        """
        if self.waiting >= self._max_queue:
            raise busy(self._max_queue, "requests")
        self.waiting += 1
        try:
            async with asyncio.timeout(self.timeout):  # even if the thread is busy
                yield time.monotonic() + self.timeout
        except TimeoutError:
            raise too_late(self.timeout) from None
        finally:
            self.waiting -= 1

    async def stop(self) -> None:
        """Finish running work."""
        await asyncio.to_thread(self.executor.shutdown, wait=True)

    def _in_time(self, work: Callable[[], Result], until: float) -> Result:
        if time.monotonic() > until:
            raise too_late(self.timeout)
        return work()


def _queued(work: Callable[[], Result]) -> Callable[[], Result]:
    """Return work that records, if its request is traced, how long it waited for its turn."""
    trace, asked = current_trace(), time.perf_counter()
    if trace is None:
        return work

    def traced() -> Result:
        trace.stage("queue", asked, time.perf_counter())
        return work()

    return traced
