"""Dynamic batching: requests that wait for the same thread are processed by one call."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.problems import too_late

Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Queued(Generic[Request, Result]):
    request: Request
    future: asyncio.Future[Result]


class DynamicBatcher(Generic[Request, Result]):
    """A queue of requests for one thread. Use it from one event loop.

    A lone request is processed immediately. Requests that arrive while the thread is busy wait in
    the queue, and are processed as a batch when it is free.

    Args:
        thread: with a single worker.
        process: returns a result or an error per request of a batch; called in the thread.
        max_batch_size: requests per batch.

    """

    def __init__(
        self,
        thread: Executor,
        process: Callable[[Sequence[Request]], Sequence[Result | Exception]],
        *,
        max_batch_size: int,
    ) -> None:
        self._thread, self._process, self._most = thread, process, max_batch_size
        self._queue: deque[_Queued[Request, Result]] = deque()
        self._called = False

    async def submit(self, request: Request) -> Result:
        """Return the result of a request.

        Raises:
            Exception: the request's error.

        """
        loop = asyncio.get_running_loop()
        queued = _Queued[Request, Result](request, loop.create_future())
        self._queue.append(queued)
        if not self._called:
            self._called = True
            self._thread.submit(self._run_batch, loop)
        return await queued.future

    def _run_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Process one batch; another call follows if requests are left in the queue."""
        self._called = False  # from here on a new request calls again
        batch: list[_Queued[Request, Result]] = []
        while self._queue and len(batch) < self._most:
            queued = self._queue.popleft()
            if not queued.future.cancelled():
                batch.append(queued)
        if self._queue and not self._called:
            self._called = True
            self._thread.submit(self._run_batch, loop)
        if not batch:
            return
        try:
            results = self._process([queued.request for queued in batch])
        except BaseException as error:
            results = [_plain(error)] * len(batch)
        loop.call_soon_threadsafe(_resolve, batch, results)


def _plain(error: BaseException) -> Exception:
    """Return an error that a future accepts: no panic of a library, and no StopIteration."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


def _resolve(
    batch: Sequence[_Queued[Request, Result]], results: Sequence[Result | Exception]
) -> None:
    for queued, result in zip(batch, results, strict=True):
        if queued.future.done():  # its client has left
            continue
        if isinstance(result, Exception):
            queued.future.set_exception(_plain(result))
        else:
            queued.future.set_result(result)


@dataclass(frozen=True)
class ListRequest(Generic[Result]):
    """A request for a list, the work to do, and the deadline of its start.

    `bundle` is the path of an arm's bundle, None for the main one.
    """

    request: FunnelRequest
    respond: Callable[[Live, Ranked], Result]
    deadline: float
    bundle: str | None = None


def respond_to_lists(
    live: Live, batch: Sequence[ListRequest[Any]], *, queue_timeout: float
) -> list[Any | Exception]:
    """Return a result or an error per request; those past their deadline are not computed.

    Args:
        live: the open bundle, with all changes of items.
        batch: of requests.
        queue_timeout: seconds that a request may wait, for the error.

    """
    now = time.monotonic()
    found = iter(_found(live, [request for request in batch if request.deadline >= now]))
    return [next(found) if r.deadline >= now else too_late(queue_timeout) for r in batch]


def _found(live: Live, batch: Sequence[ListRequest[Any]]) -> list[Any | Exception]:
    try:
        results = live.needs_funnel.recommend_each([request.request for request in batch])
    except Exception as error:
        if len(batch) <= 1:
            return [error] * len(batch)
        # An internal error of one request must not fail the whole batch.
        return [result for request in batch for result in _found(live, [request])]
    return [_response(live, request, a) for request, a in zip(batch, results, strict=True)]


def _response(live: Live, request: ListRequest[Any], result: Ranked | Exception) -> Any | Exception:
    if isinstance(result, Exception):
        return result
    try:
        return request.respond(live, result)
    except Exception as error:
        return error
