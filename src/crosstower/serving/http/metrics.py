"""Metrics of a server for Prometheus, of one process or summed over several."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from crosstower.serving.http.metrics_folder import VARIABLE
from crosstower.serving.state.live_counts import CountStatistics

# Seconds; fine around 10 and 30 ms, the target latency.
_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5,
            1.0, 2.0, 5.0)  # fmt: skip
_UNKNOWN_DRIFT = -1.0
Metric = TypeVar("Metric", Counter, Gauge, Histogram)


class ServerMetrics:
    """Counters, histograms and gauges, all named `crosstower_...`.

    Where the environment variable PROMETHEUS_MULTIPROC_DIR was set before this module was imported,
    the workers write them to that folder and any of them renders the sum; else they are those of
    this process. Create it once per process. Routes are templates, such as `/v1/recommend`, never
    client input: every label value is kept for good.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._folder = os.environ.get(VARIABLE)
        self._version: str | None = None
        self._drift_of: set[tuple[str, str]] = set()
        self._children: dict[tuple[Any, ...], Any] = {}

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"crosstower_{name}", words, labels, registry=registry)

        self._requests = counter("requests", "Requests served.", "route", "status")
        self._lists = counter("lists", "Lists by version of the bundle.", "version")
        self._fallbacks = counter("fallbacks", "Responses with popular items.", "reason")
        self._refused = counter("refused", "Requests refused.", "reason")
        self._values = counter("values", "Query values looked up.", "column")
        self._unseen = counter("unseen_values", "Query values not seen in training.", "column")
        self._items_written = counter("items_written", "Items put or deleted.")
        self._vectors_written = counter("vectors_written", "Vectors of items put.")
        self._events_written = counter(
            "events_written", "Events stored, without those already known."
        )
        self._arms = counter(
            "experiment_requests", "Requests by arm of an experiment.", "experiment", "arm"
        )
        self._events = counter("events", "Events stored, by types that the recipe names.", "type")
        self._history_events = counter(
            "history_events", "Events of the types that extend histories, by outcome.", "outcome"
        )
        self._swaps = counter("swaps", "Changes of the bundle.", "result")
        self._latency = _histogram(registry, "request", "Whole requests.", "route", "status")
        self._stages = _histogram(registry, "stage", "Stages of a request.", "stage")
        self._items = _gauge(registry, "items", "Items that can be found.", mode="livemostrecent")
        self._queue = _gauge(registry, "queue_length", "Requests that wait.", mode="livesum")
        self._state = _gauge(registry, "state_bytes", "Bytes in use in the state file.",
                             mode="livemostrecent")  # fmt: skip
        self._behind = _gauge(
            registry,
            "state_behind_seconds",
            "Seconds for which writes of other servers may have been missed; of the worker with"
            " most.",
            mode="livemax",
        )
        self._unread = counter(
            "users_unread", "Users whose events and attributes could not be read from the state."
        )
        self._unlogged = counter("unlogged_lists", "Lists that could not be logged.")
        self._model = _gauge(registry, "model_info", "1 of the bundle served, 0 of one served"
                             " before.", "version", mode="livemax")  # fmt: skip
        self._history_cache = _gauge(
            registry, "history_cache_items", "Users and items in the caches.", mode="livesum"
        )
        self._history_lag = _gauge(
            registry,
            "history_lag_events",
            "Events stored that a worker had not looked at; of the worker with most.",
            mode="livemax",
        )
        self._counter_events = _gauge(
            registry,
            "counter_events",
            "Events read since the start by outcome, once per count of the ranker; the maximum over"
            " workers.",
            "version",
            "outcome",
            mode="livemax",
        )
        self._counter_keys, self._counter_dropped = (
            _gauge(registry, name, f"{words}; maximum over workers.", "version", mode="livemax")
            for name, words in (
                ("counter_keys", "Keys with counts"),
                ("counter_dropped_keys", "Keys dropped because there were too many"),
            )
        )
        self._counter_bytes = _gauge(
            registry, "counter_bytes", "Bytes of the counts of all workers.", "version",
            mode="livesum",
        )  # fmt: skip
        self._drift = _gauge(
            registry,
            "score_drift",
            "Population stability index of predictions against training, of the worker with the"
            " largest; -1 until there are enough.",
            "version",
            "task",
            mode="livemax",
        )

    def _of(self, metric: Metric, *labels: str) -> Metric:
        """Return the child metric with these labels; the library's `labels` is slower."""
        key = (metric, *labels)
        if key not in self._children:
            self._children[key] = metric.labels(*labels)
        return self._children[key]

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._of(self._requests, route, str(status)).inc()
        self._of(self._latency, route, str(status)).observe(seconds)

    def list(self, version: str) -> None:
        """Count a list of a bundle."""
        self._of(self._lists, version).inc()

    def stage(self, stage: str, seconds: float) -> None:
        """Record the time of a stage: retrieve, rank, blend or total."""
        self._of(self._stages, stage).observe(seconds)

    def fallback(self, reason: str) -> None:
        """Count a fallback to popular items."""
        self._of(self._fallbacks, reason).inc()

    def refused(self, reason: str) -> None:
        """Count a request that was refused, such as busy, too_large or unauthorised."""
        self._of(self._refused, reason).inc()

    def values(self, column: str, *, looked_up: int, unseen: int) -> None:
        """Count values of a query column, and those of them that training has not seen."""
        self._of(self._values, column).inc(looked_up)
        self._of(self._unseen, column).inc(unseen)

    def items_written(self, items: int) -> None:
        """Count items put or deleted."""
        self._items_written.inc(items)

    def vectors_written(self, vectors: int) -> None:
        """Count vectors of items put."""
        self._vectors_written.inc(vectors)

    def events_written(self, events: int) -> None:
        """Count events stored."""
        self._events_written.inc(events)

    def arm(self, experiment: str, arm: str) -> None:
        """Count a request of an experiment."""
        self._of(self._arms, experiment, arm).inc()

    def events_of_type(self, kind: str, events: int) -> None:
        """Count events stored of a type that the recipe names, or of `other` types."""
        self._of(self._events, kind).inc(events)

    def history_events(self, outcome: str, events: int) -> None:
        """Count events that extend histories, by outcome: used, future, unknown_item and others."""
        self._of(self._history_events, outcome).inc(events)

    def history_cache(self, size: int) -> None:
        """Set the size of the cache of histories."""
        self._history_cache.set(size)

    def history_lag(self, events: int) -> None:
        """Set the number of stored events that this worker had not looked at."""
        self._history_lag.set(events)

    def counters(self, version: str, figures: CountStatistics) -> None:
        """Set the number of events by outcome, and the keys and bytes of counts, of a bundle."""
        for outcome, events in figures.outcomes.items():
            self._of(self._counter_events, version, outcome).set(events)
        self._of(self._counter_keys, version).set(figures.keys)
        self._of(self._counter_dropped, version).set(figures.dropped_keys)
        self._of(self._counter_bytes, version).set(figures.bytes)

    def swap(self, result: str) -> None:
        """Count a swap of the bundle: done or refused."""
        self._of(self._swaps, result).inc()

    def items(self, items: int) -> None:
        """Set the number of items that can be found."""
        self._items.set(items)

    def queue_length(self, requests: int) -> None:
        """Set the number of requests waiting in this process."""
        self._queue.set(requests)

    def state_bytes(self, size: int) -> None:
        """Set the size of the state file's content."""
        self._state.set(size)

    def state_behind(self, seconds: float) -> None:
        """Set the time for which writes of other servers may have been missed."""
        self._behind.set(seconds)

    def users_unread(self, users: int) -> None:
        """Count users whose events and attributes could not be read."""
        self._unread.inc(users)

    def unlogged_list(self) -> None:
        """Count a list that could not be logged."""
        self._unlogged.inc()

    def model(self, version: str) -> None:
        """Set the version served; the drift of the previous one is dropped."""
        before, self._version = self._version, version
        if before is not None:
            self._of(self._model, before).set(0)
        self.also_served(version)
        for of, task in self._drift_of:
            if of == before:
                self._of(self._drift, of, task).set(_UNKNOWN_DRIFT)

    def also_served(self, version: str) -> None:
        """Show the version of an arm's bundle."""
        self._of(self._model, version).set(1)

    def score_drift(self, version: str, task: str, index: float | None) -> None:
        """Set a task's `ScoreDrift.psi` by a version; None means too few scores."""
        self._drift_of.add((version, task))
        self._of(self._drift, version, task).set(_UNKNOWN_DRIFT if index is None else index)

    def render(self) -> tuple[bytes, str]:
        """Return the Prometheus text of all workers and its content type."""
        if self._folder is None:
            return generate_latest(self._registry), CONTENT_TYPE_LATEST
        _forget_dead_workers(Path(self._folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._folder)
        return generate_latest(registry), CONTENT_TYPE_LATEST


def _histogram(registry: CollectorRegistry, name: str, words: str, *labels: str) -> Histogram:
    full = f"crosstower_{name}_duration_seconds"
    return Histogram(full, words, labels, buckets=_BUCKETS, registry=registry)


def _gauge(
    registry: CollectorRegistry,
    name: str,
    words: str,
    *labels: str,
    mode: Literal["livemax", "livemostrecent", "livesum"],
) -> Gauge:
    full = f"crosstower_{name}"
    return Gauge(full, words, labels, registry=registry, multiprocess_mode=mode)


def _forget_dead_workers(folder: Path) -> None:
    """Remove the gauges of workers that have ended; their counters stay, as they must not fall."""
    for path in folder.glob("gauge_live*.db"):
        process = int(path.stem.rpartition("_")[2])
        try:
            os.kill(process, 0)  # checks that it exists
        except ProcessLookupError:
            mark_process_dead(process, path=str(folder))
        except PermissionError:  # it exists
            continue
