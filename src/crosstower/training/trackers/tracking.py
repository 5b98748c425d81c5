"""Tracking of a run: its training runs, then its test metrics and report, in each of its trackers.

A tracker that fails is left out from there on, with a warning; training continues.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from crosstower.errors import CrosstowerWarning, first_line
from crosstower.storage.files import write_atomic
from crosstower.training.checkpoint import read_position
from crosstower.training.run import METRICS, REPORT, Run
from crosstower.training.trackers.tracker import Subject, Tracker, open_tracker
from crosstower.training.trainer import LAST
from crosstower.training.weight_files import is_stored

IDS = "trackers.json"
_SECRET = ("data", "tune")
"""Sections whose addresses and queries may hold credentials, or that no training reads."""

T = TypeVar("T")


class Tracking:
    """The trackers of a run; without any, nothing is done.

    Args:
        run: whose recipe names the trackers.
        active: whether this process tracks: the first one of several.

    """

    def __init__(self, run: Run, *, active: bool) -> None:
        self._run = run
        self._names = list(dict.fromkeys(run.recipe.training.trackers)) if active else []
        path = run.folder / IDS
        known = json.loads(path.read_bytes()) if path.is_file() else {}
        self._ids: dict[str, dict[str, str]] = {n: known.get(n, {}) for n in self._names}

    @contextmanager
    def training(self, model: str, seed: int) -> Generator[list[TrainingTracker]]:
        """Yield the observers of a training run, which first log the evaluations they missed."""
        part = f"{model}/seed-{seed}"
        own = {"model": model, "seed": str(seed)}
        opened = [(name, self._open(name, part, own)) for name in list(self._names)]
        self._keep_ids()
        earlier = self._records(model, seed)
        observers = [
            TrainingTracker(tracker, earlier, partial(self._call, name))
            for name, tracker in opened
            if tracker is not None
        ]
        try:
            yield observers
        finally:
            for observer in observers:
                observer.close()

    def conclude(self) -> None:
        """Log test metrics, and upload the report, `metrics.json` and the recipe."""
        metrics = dict(_test_metrics(self._run))
        files = [self._run.folder / name for name in (REPORT, METRICS, "recipe.yaml")]
        present = [path for path in files if path.is_file()]
        for name in list(self._names):
            tracker = self._open(name, "", {})
            if tracker is not None:
                self._call(name, partial(_concluded, tracker, metrics, present))
        self._keep_ids()

    def _open(self, name: str, part: str, own: Mapping[str, str]) -> Tracker | None:
        recipe = self._run.recipe
        subject = Subject(
            self._run.folder,
            recipe.name,
            part,
            {**parameters_of(self._run), **own},
            self._ids[name],
        )
        return self._call(name, partial(open_tracker, name, subject))

    def _call(self, name: str, act: Callable[[], T]) -> T | None:
        """Return the result of a call of a tracker; None once the tracker has failed."""
        if name not in self._names:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # those of the packages concern no user
                return act()
        except Exception as error:
            self._names.remove(name)
            words = first_line(error)
            warnings.warn(
                f"training.trackers: {name} failed and is left out from here on: {words}",
                CrosstowerWarning,
                stacklevel=2,
            )
            return None

    def _keep_ids(self) -> None:
        if any(self._ids.values()):
            write_atomic(self._run.folder / IDS, json.dumps(self._ids, indent=1).encode())

    def _records(self, model: str, seed: int) -> list[dict[str, Any]]:
        if not self._names:
            return []
        last = self._run.model_folder(model, seed) / LAST
        return read_position(last).history if is_stored(last) else []


class TrainingTracker:
    """Observes a training run for one tracker.

    Args:
        tracker: of the training run.
        earlier: records of earlier evaluations; those that the tracker lacks are logged first.
        call: calls a function that may fail.

    """

    def __init__(
        self,
        tracker: Tracker,
        earlier: Sequence[Mapping[str, Any]],
        call: Callable[[Callable[[], None]], object],
    ) -> None:
        self._tracker, self._call = tracker, call
        call(partial(self._log_missing, earlier))

    def _log_missing(self, earlier: Sequence[Mapping[str, Any]]) -> None:
        last = self._tracker.last_step()
        for record in earlier:
            if record["step"] > last:
                self._tracker.log(metrics_of(record), record["step"])

    def begin(self, *, rows: int, epoch: int) -> None:
        """Do nothing."""

    def advance(self, *, rows: int, loss: float) -> None:
        """Do nothing: evaluations are logged, not steps."""

    def finish(self, record: dict[str, Any]) -> None:
        """Log an evaluation."""
        self._call(partial(self._tracker.log, metrics_of(record), record["step"]))

    def close(self) -> None:
        """End the tracking of the training."""
        self._call(self._tracker.close)


def metrics_of(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite metrics of an evaluation.

    >>> metrics_of({"epoch": 0, "train_loss": 0.5, "valid": {"click.auc": 0.7}})
    {'train/loss': 0.5, 'epoch': 1.0, 'valid/click.auc': 0.7}
    """
    found = {
        "train/loss": record["train_loss"],
        "epoch": float(record.get("epochs", record["epoch"] + 1)),
        **{f"valid/{name}": value for name, value in record["valid"].items()},
    }
    if "rows_per_second" in record:
        found["speed/rows_per_second"] = record["rows_per_second"]
    return {name: value for name, value in found.items() if math.isfinite(value)}


def parameters_of(run: Run) -> dict[str, str]:
    """Return the options of a run's recipe by dotted key, without those that may hold secrets."""
    plain = run.recipe.model_dump(mode="json", by_alias=True)
    kept = {key: value for key, value in plain.items() if key not in _SECRET and value is not None}
    kept["data"] = {"split": plain["data"]["split"]}
    return {key: str(value) for key, value in _flat(kept)}


def _flat(plain: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in plain.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        elif value is not None:
            yield f"{before}{key}", value


def _test_metrics(run: Run) -> Iterator[tuple[str, float]]:
    """Yield the means over seeds: test/TASK.METRIC of the model, test/MODEL/TASK.METRIC else."""
    main = next(iter(run.info.models))
    plain = run.metrics
    tasks = plain.get("tasks") or {"retrieval": plain.get("retrieval") or {}}
    for task, models in tasks.items():
        for model, metrics in models.items():
            place = "" if model == main else f"{model}/"
            for metric, summary in metrics.items():
                for kind, value in summary.items():
                    if value is not None:
                        sd = "" if kind == "mean" else ".sd"
                        yield f"test/{place}{task}.{metric}{sd}", value


def _concluded(tracker: Tracker, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
    if metrics:
        tracker.log(metrics, 0)
    tracker.add_files(files)
    tracker.close()
