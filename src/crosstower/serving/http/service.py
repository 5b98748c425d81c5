"""A worker: one live bundle, one thread for it, and a bounded queue."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeVar

import torch

from crosstower.blending.exploration.explore import Exploration
from crosstower.errors import BundleError, CrosstowerError
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.arm_bundles import ArmBundles
from crosstower.serving.http.batcher import DynamicBatcher, ListRequest
from crosstower.serving.http.experiments import RunningExperiments
from crosstower.serving.http.gate import Gate, Gates
from crosstower.serving.http.item_changes import ItemChanges
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.opening import opened
from crosstower.serving.http.problems import ApiError, busy, no_room, too_late
from crosstower.serving.http.refusal import Refusal
from crosstower.serving.http.served import Served
from crosstower.serving.http.settings import Scope, Settings
from crosstower.serving.http.spending import Refund, Spending
from crosstower.serving.http.tracing import current_trace, record_stages
from crosstower.serving.http.worker_users import WorkerUsers
from crosstower.serving.state.database import StateUnavailableError
from crosstower.serving.state.folder_lock import WorkerLock
from crosstower.serving.state.state import State

Result = TypeVar("Result")
_IDLE_SECONDS = 1.0
_LOG = logging.getLogger("uvicorn.error")


class Service:
    """The state of a worker that its routes use.

    Everything that reads or changes the live bundle runs in one thread, so that it needs no locks;
    several CPUs are used by several workers. Before each piece of work the changes that any
    worker has acknowledged are applied.
    """

    def __init__(
        self, settings: Settings, tokens: Mapping[Scope, tuple[str, ...]], metrics: ServerMetrics
    ) -> None:
        self.settings, self.tokens, self.metrics = settings, tokens, metrics
        self.state = State.open(settings.state)
        self.items = ItemChanges(self.state)
        self.users = WorkerUsers(self.state, metrics)
        self._spending = Spending(self.state)
        self._lock = WorkerLock(settings.folder)
        self._served: Served | None = None
        self._timeout = settings.limits.queue_timeout
        self._thread = ThreadPoolExecutor(1, "live", torch.set_num_threads, (settings.threads,))
        self._batcher = DynamicBatcher[ListRequest[Any], Any](
            self._thread, self._respond_to, max_batch_size=settings.limits.max_batch_size
        )
        self._writer = ThreadPoolExecutor(1, "state")
        limits = settings.limits
        gates = [Gate(most=limits.max_queue, seconds=limits.wait_seconds) for _ in range(2)]
        self.gates = Gates(live=gates[0], events=gates[1])
        self.experiments = RunningExperiments(settings.experiments, limits, metrics)
        self.arms = ArmBundles(settings.experiments, self.state, metrics)
        self.warming = False  # requests of the warm-up are not counted
        self._swapping = asyncio.Lock()
        self._refusal = Refusal(patient=self.state.database.shared)
        self._waiting = self._writes = self._state_bytes = self._chosen = 0

    @property
    def live(self) -> Live | None:
        """The main bundle; None before it is open."""
        return self._served.live if self._served is not None else None

    @property
    def version(self) -> str | None:
        """The version that is served; None before the first bundle is open."""
        return self.live.bundle.version if self.live is not None else None

    @property
    def number(self) -> int | None:
        """The number of the version that is served; None for a bundle that is none."""
        return self._served.number if self._served is not None else None

    def not_ready(self) -> str | None:
        """Return the reason why a proxy should send requests elsewhere; None if there is none."""
        if self.version is None:
            return "no bundle is open yet"
        behind, most = self.state.behind(), self.settings.limits.max_staleness
        if behind > most:
            return (
                f"the state has not been reached for {behind:.0f} seconds, more than"
                f" --max-staleness {most:g}; requests are still answered from memory"
            )
        return self._refusal.reason()

    def explore(self, bundle: str | None) -> Exploration | None:
        """Return the exploration of the main bundle, or of that of an arm."""
        live = self.live if bundle is None else self.arms.live(bundle)
        return None if live is None else live.explore

    async def start(self) -> None:
        """Open the bundle chosen last, by the command or by a swap, and those of arms.

        Raises:
            CrosstowerError: one cannot be opened.

        """
        self.state.follow()
        await self._in_thread(self._first)
        self._state_bytes = self.state.size()
        # Loaded objects stay: a collection that scans them takes a quarter of a second.
        gc.collect()
        gc.freeze()

    async def keep_up(self) -> None:
        """Apply changes of other workers and refresh the metrics, until cancelled."""
        while True:
            await asyncio.sleep(_IDLE_SECONDS)
            self.metrics.state_behind(self.state.behind())
            try:
                await self._in_thread(self._keep_up)
                await self.renew_counts(seconds=_IDLE_SECONDS / 2)
                await self._follow()
                await self._spending.share(self._in_thread)
                self._state_bytes = await asyncio.to_thread(self.state.size)
            except CrosstowerError:
                continue  # the next request reports it
            except Exception:
                _LOG.exception("following the state failed; the next attempt is in a second")
                continue
            self._show_figures()

    async def renew_counts(self, seconds: float = math.inf) -> None:
        """Recount events after deletions; requests are served in between."""
        end, more = time.monotonic() + seconds, True
        while more and time.monotonic() < end:
            more = await self._in_thread(lambda: self.arms.renew(self._served))

    async def stop(self) -> None:
        """Finish running work and close the state."""
        try:
            await self._spending.share(self._in_thread)
        except CrosstowerError as error:
            _LOG.warning("the spending of the last second was not stored: %s", error)
        for thread in (self._thread, self._writer):
            await asyncio.to_thread(thread.shutdown, wait=True)
        self.state.close()
        self._lock.close()

    async def run(self, work: Callable[[Live], Result]) -> Result:
        """Return the result of `work` on the live bundle.

        Raises:
            ApiError: the queue is full, or it took too long.
            CrosstowerError: raised by `work`.

        """
        async with self._waits() as until:
            return await self._in_thread(_queued(lambda: self._run(work, until)))

    async def recommend(
        self,
        request: FunnelRequest,
        respond: Callable[[Live, Ranked], Result],
        *,
        bundle: str | None = None,
    ) -> Result:
        """Return the response to a request for a list; waiting requests are batched.

        `bundle` is the path of an arm's bundle, None for the main one.

        Raises:
            ApiError: the queue is full, or it took too long.
            CrosstowerError: the request is wrong.

        """
        context, asked = copy_context(), time.perf_counter()

        def traced(live: Live, found: Ranked) -> Result:
            if (trace := current_trace()) is not None:
                trace.stage("queue", asked, found.began)
            return respond(live, found)

        def responded(live: Live, found: Ranked) -> Result:
            return context.run(traced, live, found)

        async with self._waits() as until:
            return await self._batcher.submit(ListRequest(request, responded, until, bundle))

    async def write(self, work: Callable[[State], Result]) -> Result:
        """Return the result of a write once it is safe in the state; reads do not wait for it.

        Raises:
            ApiError: the queue is full, or it took too long and may still be stored.
            CrosstowerError: raised by `work`.

        """
        if self._writes >= self.settings.limits.max_queue:
            raise busy(self.settings.limits.max_queue, "writes")
        self._writes += 1
        start = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                loop, context = asyncio.get_running_loop(), copy_context()
                return await loop.run_in_executor(
                    self._writer, lambda: context.run(work, self.state)
                )
        except TimeoutError:
            raise too_late(self._timeout) from None
        finally:
            self._writes -= 1
            if (trace := current_trace()) is not None:
                trace.stage("write", start, time.perf_counter())

    async def refund(self, refunds: Sequence[Refund]) -> None:
        """Take back charges of items that a list does not show."""
        if refunds:
            await self._in_thread(lambda: self._spending.refund(refunds))

    def check_room(self) -> None:
        """Refuse a write to a state that has reached its limit.

        Raises:
            ApiError: says how to make room.

        """
        most = self.settings.limits.state_bytes
        if most is not None and self._state_bytes >= most:
            raise no_room(self._state_bytes, most)

    async def swap(self, path: Path) -> tuple[str, str]:
        """Open another bundle next to the one that is served, and serve it; return (new, old).

        Raises:
            BundleError: it cannot be served; the old one still is.

        """
        async with self._swapping:
            old = self.version or ""
            try:
                fresh = await asyncio.to_thread(self._beside, path)
            except StateUnavailableError:
                raise
            except CrosstowerError as error:
                self.metrics.swap("refused")
                raise BundleError(f"{error}; {old} is still served") from None
            chosen = await asyncio.to_thread(self.state.set_bundle, path)
            await self._in_thread(lambda: self._take(fresh, chosen))
            self.metrics.swap("done")
            return fresh.live.version, old

    def record(self, live: Live, found: Ranked) -> None:
        """Record the metrics and the stages of a response of a bundle."""
        record_stages(found)
        for served in self.arms.with_main(self._served):
            if served.live is live and not self.warming:
                served.record(found)

    @asynccontextmanager
    async def _waits(self) -> AsyncGenerator[float]:
        """Take a place in the queue, yield the deadline of its turn, and end the wait at it."""
        most = self.settings.limits.max_queue
        if self._waiting >= most:
            raise busy(most, "requests")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout):  # even if the thread is busy
                yield time.monotonic() + self._timeout
        except TimeoutError:
            raise too_late(self._timeout) from None
        finally:
            self._waiting -= 1

    def _run(self, work: Callable[[Live], Result], until: float) -> Result:
        if time.monotonic() > until:
            raise too_late(self._timeout)
        return work(self._up_to_date())

    def _respond_to(self, batch: Sequence[ListRequest[Any]]) -> list[Any | Exception]:
        return self.arms.respond(batch, self._up_to_date(), queue_timeout=self._timeout)

    def _up_to_date(self) -> Live:
        """Return the live bundle with all that any worker has acknowledged."""
        if self._served is None:
            raise ApiError(503, "no bundle is open yet", reason="not_ready")
        self._served.catch_up(self.state.heads(), self.users)
        return self._served.live

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        loop, context = asyncio.get_running_loop(), copy_context()
        return await loop.run_in_executor(self._thread, lambda: context.run(work))

    def _first(self) -> None:
        number, path = self.state.bundle() or (0, self.settings.bundle)
        self.arms.open(self._spending.ledger, self.experiments.check)
        self._take(self._opened(path), number)  # it may have changed since it was checked

    def _beside(self, path: Path) -> Served:
        """Open and check a bundle while the old one is served, and apply the changes to it."""
        torch.set_num_threads(1)  # of this thread: the old bundle keeps serving
        return self._opened(path)

    def _opened(self, path: Path) -> Served:
        live = opened(path, self._spending.ledger)
        self.experiments.check(live)
        self.arms.check(live)
        versions = self.state.versions
        number = versions.number_of(path, base=self.settings.bundle)
        applied = versions.items_of(path)
        served = Served(live, self.state, self.items, self.metrics, applied=applied, number=number)
        served.catch_up(self.state.heads())
        return served

    def _take(self, fresh: Served, chosen: int) -> None:
        """Serve a bundle from now on."""
        fresh.catch_up(self.state.heads())
        self.users.serve(fresh.live)
        self._served, self._chosen = fresh, chosen
        self.metrics.model(fresh.live.version)
        self._show_figures()

    def _keep_up(self) -> None:
        self.users.show_lag()
        self.users.keep_up(self._up_to_date())
        self.arms.keep_up()

    async def _follow(self) -> None:
        """Serve the bundle that was chosen elsewhere; withdraw a version that cannot be served."""
        found = await asyncio.to_thread(self.state.bundle)
        if found is None or self._swapping.locked():
            return
        number, path = found
        if number == self._chosen:
            self._refusal.forget()
            return
        if not self._refusal.may_try(number):
            return
        async with self._swapping:
            try:
                fresh = await asyncio.to_thread(self._beside, path)
            except StateUnavailableError:
                return  # it says nothing about the bundle
            except CrosstowerError as error:
                self.metrics.swap("refused")
                if self._refusal.is_final(number, f"{error}"):
                    base = self.settings.bundle
                    self.state.versions.withdraw(number, f"{error}", base=base)
                return
            await self._in_thread(lambda: self._take(fresh, number))

    def _show_figures(self) -> None:
        self.metrics.queue_length(self._waiting)
        self.metrics.state_bytes(self._state_bytes)
        if self.live is not None and self.live.funnel is not None:
            self.metrics.items(len(self.live.funnel.catalogue.items))
        if self._served is not None:
            self._served.show_figures()


def _queued(work: Callable[[], Result]) -> Callable[[], Result]:
    """Return work that records, if its request is traced, how long it waited for its turn."""
    trace, asked = current_trace(), time.perf_counter()
    if trace is None:
        return work

    def traced() -> Result:
        trace.stage("queue", asked, time.perf_counter())
        return work()

    return traced
