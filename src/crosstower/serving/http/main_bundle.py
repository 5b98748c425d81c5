"""The bundle that a worker serves, and how another one takes its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import torch

from crosstower.errors import BundleError, CrosstowerError
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.arm_bundles import ArmBundles
from crosstower.serving.http.bundle_retries import BundleRetries
from crosstower.serving.http.experiments import RunningExperiments
from crosstower.serving.http.item_changes import ItemChanges
from crosstower.serving.http.live_thread import LiveThread
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.opening import opened
from crosstower.serving.http.problems import ApiError
from crosstower.serving.http.served import Served
from crosstower.serving.http.spending import Spending
from crosstower.serving.http.worker_users import WorkerUsers
from crosstower.serving.state.database import StateUnavailableError
from crosstower.serving.state.state import State


class MainBundle:
    """Opens the bundle that was chosen last for all servers, and follows the choice.

    A bundle is opened next to the one that is served, and takes its place between two pieces of
    work of the live thread.

    Args:
        base: the bundle of the command line.
        state: has the choice.
        thread: in which the bundle is used.
        metrics: of the worker.
        items: applies changes of items.
        users: of the worker.
        arms: bundles of arms, which must fit the main one.
        experiments: that must fit it too.
        spending: of campaigns.

    """

    def __init__(
        self,
        base: Path,
        *,
        state: State,
        thread: LiveThread,
        metrics: ServerMetrics,
        items: ItemChanges,
        users: WorkerUsers,
        arms: ArmBundles,
        experiments: RunningExperiments,
        spending: Spending,
    ) -> None:
        self.served: Served | None = None
        self._base, self._state, self._thread, self._metrics = base, state, thread, metrics
        self._items, self._users, self._spending = items, users, spending
        self._arms, self._experiments = arms, experiments
        self._swapping = asyncio.Lock()
        self._retries = BundleRetries(patient=state.database.shared)
        self._chosen = 0

    @property
    def live(self) -> Live | None:
        """The open bundle; None before the first one."""
        return None if self.served is None else self.served.live

    def open(self) -> None:
        """Open the bundle chosen last; for the live thread.

        Raises:
            CrosstowerError: it cannot be opened.

        """
        number, path = self._state.bundle() or (0, self._base)
        self._take(self._opened(path), number)  # it may have changed since it was checked

    def up_to_date(self) -> Live:
        """Return the bundle with all changes that any worker has acknowledged; for the live thread.

        Raises:
            ApiError: none is open yet.

        """
        if self.served is None:
            raise ApiError(503, "no bundle is open yet", reason="not_ready")
        self.served.catch_up(self._state.heads(), self._users)
        return self.served.live

    def refused(self) -> str | None:
        """Return why the bundle that was chosen is not served here; None if it is."""
        return self._retries.reason()

    def show_figures(self) -> None:
        """Set the metrics of the bundle."""
        if self.live is not None and self.live.funnel is not None:
            self._metrics.items(len(self.live.funnel.catalogue.items))
        if self.served is not None:
            self.served.show_figures()

    async def swap(self, path: Path) -> tuple[str, str]:
        """Choose a bundle for all servers and serve it; return (new, old) versions.

        Raises:
            BundleError: it cannot be served; the old one still is.

        """
        async with self._swapping:
            old = "" if self.live is None else self.live.version
            try:
                fresh = await asyncio.to_thread(self._beside, path)
            except StateUnavailableError:
                raise
            except CrosstowerError as error:
                self._metrics.swap("refused")
                raise BundleError(f"{error}; {old} is still served") from None
            chosen = await asyncio.to_thread(self._state.set_bundle, path)
            await self._thread.do(lambda: self._take(fresh, chosen))
            self._metrics.swap("done")
            return fresh.live.version, old

    async def follow(self) -> None:
        """Serve the bundle that was chosen elsewhere; withdraw a version that cannot be served."""
        found = await asyncio.to_thread(self._state.bundle)
        if found is None or self._swapping.locked():
            return
        number, path = found
        if number == self._chosen:
            self._retries.forget()
            return
        if not self._retries.may_try(number):
            return
        async with self._swapping:
            try:
                fresh = await asyncio.to_thread(self._beside, path)
            except StateUnavailableError:
                return  # it says nothing about the bundle
            except CrosstowerError as error:
                self._metrics.swap("refused")
                if self._retries.is_final(number, f"{error}"):
                    self._state.versions.withdraw(number, f"{error}", base=self._base)
                return
            await self._thread.do(lambda: self._take(fresh, number))

    def _beside(self, path: Path) -> Served:
        """Open and check a bundle while the old one is served, and apply the changes to it."""
        torch.set_num_threads(1)  # of this thread: the old bundle keeps serving
        return self._opened(path)

    def _opened(self, path: Path) -> Served:
        live = opened(path, self._spending.ledger)
        self._experiments.check(live)
        self._arms.check(live)
        versions = self._state.versions
        number = versions.number_of(path, base=self._base)
        applied = versions.items_of(path)
        served = Served(
            live, self._state, self._items, self._metrics, applied=applied, number=number
        )
        served.catch_up(self._state.heads())
        return served

    def _take(self, fresh: Served, chosen: int) -> None:
        """Serve a bundle from now on."""
        fresh.catch_up(self._state.heads())
        self._users.serve(fresh.live)
        self.served, self._chosen = fresh, chosen
        self._metrics.model(fresh.live.version)
        self.show_figures()
