"""MLflow: one run per model and seed, below one for the whole run.

They go where `MLFLOW_TRACKING_URI` says, or to MLflow's local default.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from crosstower.training.trackers.tracker import Subject

_EXPERIMENT = "crosstower"
_LONGEST = 500  # characters of a parameter
_PARAMETERS = 100  # of one request
_LOSS = "train/loss"


def open_tracker(subject: Subject) -> MlflowRun:
    """Return the MLflow run of a subject, the earlier one if it has begun."""
    for name in ("alembic", "mlflow"):  # they log each step of making a database
        logging.getLogger(name).setLevel(logging.WARNING)
    client = MlflowClient()
    known = subject.ids.get(subject.part)
    if known is None:
        if subject.part and "" not in subject.ids:
            subject.ids[""] = _begun(client, replace(subject, part=""))
        known = subject.ids[subject.part] = _begun(client, subject)
    else:
        client.update_run(known, status="RUNNING")
    return MlflowRun(client, known)


def _begun(client: Any, subject: Subject) -> str:
    tags = {"mlflow.source.name": "crosstower", "crosstower.run": subject.run}
    if subject.part:
        tags["mlflow.parentRunId"] = subject.ids[""]
    name = f"{subject.run}/{subject.part}" if subject.part else subject.run
    run = client.create_run(_experiment(client), run_name=name, tags=tags)
    for some in _batches(list(subject.parameters.items())):
        parameters = [Param(_name(key), value[:_LONGEST]) for key, value in some]
        client.log_batch(run.info.run_id, params=parameters)
    return run.info.run_id


def _batches(pairs: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(pairs), _PARAMETERS):
        yield pairs[start : start + _PARAMETERS]


def _experiment(client: Any) -> str:
    found = client.get_experiment_by_name(_EXPERIMENT)
    return client.create_experiment(_EXPERIMENT) if found is None else found.experiment_id


def _name(name: str) -> str:
    """Return a name that MLflow takes: recall@10 becomes recall_at_10."""
    return re.sub(r"[^\w\-. :/]", "_", name.replace("@", "_at_"))


class MlflowRun:
    """An open run of MLflow.

    Args:
        client: of MLflow.
        run: its id.

    """

    def __init__(self, client: Any, run: str) -> None:
        self._client, self._run = client, run

    def last_step(self) -> int:
        """Return the last step that was logged before; -1 if none was."""
        steps = (metric.step for metric in self._client.get_metric_history(self._run, _LOSS))
        return max(steps, default=-1)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics of a step."""
        now = int(time.time() * 1000)
        found = [Metric(_name(key), value, now, step) for key, value in metrics.items()]
        self._client.log_batch(self._run, metrics=found)

    def add_files(self, paths: Sequence[Path]) -> None:
        """Keep files as artifacts."""
        for path in paths:
            self._client.log_artifact(self._run, str(path))

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._run)
