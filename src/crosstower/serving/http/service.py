"""A worker: one live bundle, one thread for it, and a bounded queue."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeVar

from crosstower.blending.exploration.explore import Exploration
from crosstower.errors import CrosstowerError
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.admission import AdmissionLimit, AdmissionLimits
from crosstower.serving.http.arm_bundles import ArmBundles
from crosstower.serving.http.batcher import DynamicBatcher, ListRequest
from crosstower.serving.http.experiments import RunningExperiments
from crosstower.serving.http.item_changes import ItemChanges
from crosstower.serving.http.live_thread import LiveThread
from crosstower.serving.http.main_bundle import MainBundle
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.problems import busy, no_room, too_late
from crosstower.serving.http.settings import Scope, Settings
from crosstower.serving.http.spending import Refund, Spending
from crosstower.serving.http.tracing import current_trace, record_stages
from crosstower.serving.http.worker_users import WorkerUsers
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
        limits = settings.limits
        self._timeout = limits.queue_timeout
        self._thread = LiveThread(
            threads=settings.threads, max_queue=limits.max_queue, timeout=self._timeout
        )
        self._batcher = DynamicBatcher[ListRequest[Any], Any](
            self._thread.executor, self._respond_to, max_batch_size=limits.max_batch_size
        )
        self._writer = ThreadPoolExecutor(1, "state")
        live, events = (
            AdmissionLimit(most=limits.max_queue, seconds=limits.wait_seconds) for _ in range(2)
        )
        self.admission = AdmissionLimits(live=live, events=events)
        self.experiments = RunningExperiments(settings.experiments, limits, metrics)
        self.arms = ArmBundles(settings.experiments, self.state, metrics)
        self.warming = False  # requests of the warm-up are not counted
        self._main = MainBundle(
            settings.bundle,
            state=self.state,
            thread=self._thread,
            metrics=metrics,
            items=self.items,
            users=self.users,
            arms=self.arms,
            experiments=self.experiments,
            spending=self._spending,
        )
        self._writes = self._state_bytes = 0

    @property
    def live(self) -> Live | None:
        """The main bundle; None before it is open."""
        return self._main.live

    @property
    def version(self) -> str | None:
        """The version that is served; None before the first bundle is open."""
        return self.live.bundle.version if self.live is not None else None

    @property
    def number(self) -> int | None:
        """The number of the version that is served; None for a bundle that is none."""
        return None if self._main.served is None else self._main.served.number

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
        return self._main.refused()

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
        await self._thread.do(self._first)
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
                await self._thread.do(self._keep_up)
                await self.renew_counts(seconds=_IDLE_SECONDS / 2)
                await self._main.follow()
                await self._spending.share(self._thread.do)
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
            more = await self._thread.do(lambda: self.arms.renew(self._main.served))

    async def stop(self) -> None:
        """Finish running work and close the state."""
        try:
            await self._spending.share(self._thread.do)
        except CrosstowerError as error:
            _LOG.warning("the spending of the last second was not stored: %s", error)
        await self._thread.stop()
        await asyncio.to_thread(self._writer.shutdown, wait=True)
        self.state.close()
        self._lock.close()

    async def run(self, work: Callable[[Live], Result]) -> Result:
        """Return the result of `work` on the live bundle.

        Raises:
            ApiError: the queue is full, or it took too long.
            CrosstowerError: raised by `work`.

        """
        return await self._thread.run(lambda: work(self._main.up_to_date()))

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

        async with self._thread.place() as until:
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
            await self._thread.do(lambda: self._spending.refund(refunds))

    def check_room(self) -> None:
        """Reject a write to a state that has reached its limit.

        Raises:
            ApiError: says how to free space.

        """
        most = self.settings.limits.state_bytes
        if most is not None and self._state_bytes >= most:
            raise no_room(self._state_bytes, most)

    async def swap(self, path: Path) -> tuple[str, str]:
        """Open another bundle next to the one that is served, and serve it; return (new, old).

        Raises:
            BundleError: it cannot be served; the old one still is.

        """
        return await self._main.swap(path)

    def record(self, live: Live, found: Ranked) -> None:
        """Record the metrics and the stages of a response of a bundle."""
        record_stages(found)
        for served in self.arms.with_main(self._main.served):
            if served.live is live and not self.warming:
                served.record(found)

    def _respond_to(self, batch: Sequence[ListRequest[Any]]) -> list[Any | Exception]:
        return self.arms.respond(batch, self._main.up_to_date(), queue_timeout=self._timeout)

    def _first(self) -> None:
        self.arms.open(self._spending.ledger, self.experiments.check)
        self._main.open()

    def _keep_up(self) -> None:
        self.users.show_lag()
        self.users.keep_up(self._main.up_to_date())
        self.arms.keep_up()

    def _show_figures(self) -> None:
        self.metrics.queue_length(self._thread.waiting)
        self.metrics.state_bytes(self._state_bytes)
        self._main.show_figures()
