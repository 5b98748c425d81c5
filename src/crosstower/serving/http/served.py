"""An open bundle as a worker serves it: with changes of items, counts of events, and drift."""

from __future__ import annotations

import numpy as np

from crosstower.evaluation.metrics.drift import ScoreDrift
from crosstower.funnel.online.request import Ranked
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.counting import live_counts, live_trends
from crosstower.serving.http.item_changes import ItemChanges
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.worker_users import WorkerUsers
from crosstower.serving.state.database import StateUnavailableError
from crosstower.serving.state.heads import Heads
from crosstower.serving.state.live_counts import LiveCounts
from crosstower.serving.state.live_trends import LiveTrends
from crosstower.serving.state.state import State

_DRIFT_PLACES = 10  # the first places of a list count as shown


class Served:
    """A live bundle that keeps up with the items and the events in the state; for one thread.

    Args:
        live: the open bundle, as it was built.
        state: has the events.
        items: applies changes of items.
        metrics: of the worker.
        applied: number of the last change that the bundle was built with.
        number: of the version that the bundle is; 0 for that of the command line, None for none.

    """

    def __init__(
        self,
        live: Live,
        state: State,
        items: ItemChanges,
        metrics: ServerMetrics,
        *,
        applied: int = 0,
        number: int | None = None,
    ) -> None:
        self.number = number
        self.live, self._state, self._items, self._metrics = live, state, items, metrics
        self._counts: LiveCounts | None = None
        self._trends: LiveTrends | None = None
        self._applied = applied
        self._heads: Heads | None = None  # of the state when it last caught up
        self._drift = ScoreDrift(live.bundle.manifest.reference)

    def catch_up(self, heads: Heads, users: WorkerUsers | None = None) -> None:
        """Apply the changes written since the last call.

        Args:
            heads: of the state, a new object after each write.
            users: of the bundle; None before it serves any.

        """
        if heads is self._heads:
            return
        try:
            self._apply(heads, users)
        except StateUnavailableError:
            if self._heads is None:
                raise
            return  # requests are answered from memory, and /readyz says for how long
        self._heads = heads

    def _apply(self, heads: Heads, users: WorkerUsers | None) -> None:
        """Apply the changes written since the last heads; may be repeated."""
        catalogue = None if self.live.funnel is None else self.live.funnel.catalogue
        newest, weights = heads.items, self.live.weights or ""
        if self._heads is None:
            self._items.apply_vectors(catalogue, self._applied, weights=weights)
        self._applied = self._items.apply(catalogue, self._applied, newest, weights=weights)
        if self._counts is not None:
            self._counts.catch_up()
        elif self._heads is None:  # events are counted by columns of all items
            self._counts = live_counts(self.live, self._state)
        if self._heads is None:
            self._trends = live_trends(self.live, self._state)
        if users is not None:
            users.catch_up(heads)

    def renew(self) -> bool:
        """Follow trends, and recount some events after deletions; return whether there is more.

        A server calls it once a second.
        """
        more = self._trends is not None and self._trends.renew()
        return (self._counts is not None and self._counts.renew()) or more

    def record(self, found: Ranked) -> None:
        """Record the metrics of a list: data and models."""
        self._metrics.list(self.live.version)
        for stage, seconds in found.seconds.items():
            self._metrics.stage(stage, seconds)
        if found.fallback is not None:
            self._metrics.fallback(found.fallback)
        for column, new in found.unseen.items():
            self._metrics.values(column, looked_up=1, unseen=int(new))
        if found.predictions:
            first = {t: np.asarray(p[:_DRIFT_PLACES]) for t, p in found.predictions.items()}
            self._drift.add(first)

    def show_figures(self) -> None:
        """Set the metrics of counts and of drift."""
        if self._counts is not None:
            figures = self._counts.figures()
            self._metrics.counters(self.live.version, figures)
        for task, index in self._drift.psi().items():
            self._metrics.score_drift(self.live.version, task, index)
