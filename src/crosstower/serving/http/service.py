"""A worker: one live bundle, one thread for it, and a bounded queue."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from crosstower.blending.exploration.explore import Exploration
from crosstower.errors import BundleError, CrosstowerError
from crosstower.evaluation.metrics.drift import ScoreDrift
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.batcher import DynamicBatcher, ListRequest, respond_to_lists
from crosstower.serving.http.experiments import RunningExperiments
from crosstower.serving.http.gate import Gate, Gates
from crosstower.serving.http.item_changes import ItemChanges
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.opening import opened
from crosstower.serving.http.problems import ApiError, busy, no_room, too_late
from crosstower.serving.http.settings import Scope, Settings
from crosstower.serving.http.spending import Spending
from crosstower.serving.http.worker_users import WorkerUsers
from crosstower.serving.state.folder_lock import WorkerLock
from crosstower.serving.state.state import Heads, State

Result = TypeVar("Result")
_IDLE_SECONDS, _DRIFT_PLACES = 1.0, 10  # the first places of a list count as shown


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
        self._lock = WorkerLock(settings.state)
        self.live: Live | None = None
        self._timeout = settings.limits.queue_timeout
        self._thread = ThreadPoolExecutor(1, "live", torch.set_num_threads, (settings.threads,))
        self._batcher = DynamicBatcher[ListRequest[Any], Any](
            self._thread, self._respond_to, max_batch_size=settings.limits.max_batch_size
        )
        self._writer = ThreadPoolExecutor(1, "state")
        limits = settings.limits
        self.gates = Gates(
            live=Gate(most=limits.max_queue, seconds=limits.wait_seconds),
            events=Gate(most=limits.max_queue, seconds=limits.wait_seconds),
        )
        self.experiments = RunningExperiments(settings.experiments, limits, metrics)
        self.warming = False  # requests of the warm-up are not counted
        self._swapping = asyncio.Lock()
        self._waiting = self._writes = self._state_bytes = self._applied = 0
        self._chosen = self._refused = 0
        self._heads: Heads | None = None  # of the state when the live bundle last caught up
        self._drift: ScoreDrift | None = None

    @property
    def version(self) -> str | None:
        """The version that is served; None before the first bundle is open."""
        return self.live.bundle.version if self.live is not None else None

    @property
    def explore(self) -> Exploration | None:
        """The exploration of the bundle that is served."""
        return self.live.explore if self.live is not None else None

    async def start(self) -> None:
        """Open the bundle chosen last, by the command or by a swap.

        Raises:
            CrosstowerError: it cannot be opened.

        """
        await self._in_thread(self._first)
        self._state_bytes = self.state.size()
        # Loaded objects stay: a collection that scans them takes a quarter of a second.
        gc.collect()
        gc.freeze()

    async def keep_up(self) -> None:
        """Apply changes of other workers and refresh the metrics, until cancelled."""
        while True:
            await asyncio.sleep(_IDLE_SECONDS)
            try:
                await self._in_thread(self._keep_up)
                await self._follow()
                await self._spending.share(self._in_thread)
                self._state_bytes = await asyncio.to_thread(self.state.size)
            except CrosstowerError:
                continue  # the next request reports it
            self._show_figures()

    async def stop(self) -> None:
        """Finish running work and close the state."""
        await self._spending.share(self._in_thread)
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
            return await self._in_thread(lambda: self._run(work, until))

    async def recommend(
        self, request: FunnelRequest, respond: Callable[[Live, Ranked], Result]
    ) -> Result:
        """Return the response to a request for a list; waiting requests are batched.

        Raises:
            ApiError: the queue is full, or it took too long.
            CrosstowerError: the request is wrong.

        """
        async with self._waits() as until:
            return await self._batcher.submit(ListRequest(request, respond, until))

    async def write(self, work: Callable[[State], Result]) -> Result:
        """Return the result of a write once it is safe on disk; reads do not wait for it.

        Raises:
            ApiError: the queue is full, or it took too long and may still be stored.
            CrosstowerError: raised by `work`.

        """
        if self._writes >= self.settings.limits.max_queue:
            raise busy(self.settings.limits.max_queue, "writes")
        self._writes += 1
        try:
            async with asyncio.timeout(self._timeout):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._writer, work, self.state)
        except TimeoutError:
            raise too_late(self._timeout) from None
        finally:
            self._writes -= 1

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
                fresh, applied = await asyncio.to_thread(self._beside, path)
            except CrosstowerError as error:
                self.metrics.swap("refused")
                raise BundleError(f"{error}; {old} is still served") from None
            chosen = await asyncio.to_thread(self.state.set_bundle, path)
            await self._in_thread(lambda: self._take(fresh, applied, chosen))
            self.metrics.swap("done")
            return fresh.bundle.version, old

    def record(self, found: Ranked) -> None:
        """Record the metrics of a response: data and models."""
        if self.warming:
            return
        for stage, milliseconds in found.milliseconds.items():
            self.metrics.stage(stage, milliseconds / 1e3)
        if found.fallback is not None:
            self.metrics.fallback(found.fallback)
        for column, new in found.unseen.items():
            self.metrics.values(column, looked_up=1, unseen=int(new))
        if self._drift is not None and found.predictions:
            first = {t: np.asarray(p[:_DRIFT_PLACES]) for t, p in found.predictions.items()}
            self._drift.add(first)

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
        return respond_to_lists(self._up_to_date(), batch, queue_timeout=self._timeout)

    def _up_to_date(self) -> Live:
        """Return the live bundle with all that any worker has acknowledged."""
        if self.live is None:
            raise ApiError(503, "no bundle is open yet", reason="not_ready")
        heads = self.state.heads()
        if heads is not self._heads:  # a new object after each write
            self._applied = self._brought_up(self.live, self._applied)
            self.users.catch_up()
            self._heads = heads
        return self.live

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _first(self) -> None:
        found = self.state.bundle()
        number, path = found if found is not None else (0, self.settings.bundle)
        live = opened(path, self._spending.ledger)  # may have changed since it was checked
        self.experiments.check(live)
        self._take(live, self._brought_up(live, 0), number)

    def _beside(self, path: Path) -> tuple[Live, int]:
        """Open and check a bundle while the old one is served, and apply the changes to it."""
        torch.set_num_threads(1)  # of this thread: the old bundle keeps serving
        fresh = opened(path, self._spending.ledger)
        self.experiments.check(fresh)
        return fresh, self._brought_up(fresh, 0)

    def _take(self, live: Live, applied: int, chosen: int) -> None:
        """Serve a live bundle from now on."""
        self._applied = self._brought_up(live, applied)
        self.users.serve(live)
        self.live, self._chosen = live, chosen
        self._drift = ScoreDrift(live.bundle.manifest.reference)
        self.metrics.model(live.bundle.version)
        self._show_figures()

    def _keep_up(self) -> None:
        self.users.show_lag()
        self.users.keep_up(self._up_to_date())

    def _brought_up(self, live: Live, applied: int) -> int:
        """Apply the changes after a number to a live bundle; return the last number."""
        catalogue = None if live.funnel is None else live.funnel.catalogue
        return self.items.apply(catalogue, applied, self.state.last_sequence())

    async def _follow(self) -> None:
        """Serve the bundle that another worker has swapped to."""
        found = self.state.bundle()
        if found is None or found[0] in (self._chosen, self._refused) or self._swapping.locked():
            return
        async with self._swapping:
            number, path = found
            try:
                fresh, applied = await asyncio.to_thread(self._beside, path)
            except CrosstowerError:
                self._refused = number
                self.metrics.swap("refused")
                return
            await self._in_thread(lambda: self._take(fresh, applied, number))

    def _show_figures(self) -> None:
        self.metrics.queue_length(self._waiting)
        self.metrics.state_bytes(self._state_bytes)
        if self.live is not None and self.live.funnel is not None:
            self.metrics.items(len(self.live.funnel.catalogue.items))
        if self._drift is not None:
            for task, index in self._drift.psi().items():
                self.metrics.score_drift(task, index)
