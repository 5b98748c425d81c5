"""Reports of experiments, computed on demand in another process and kept for a minute."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from crosstower.errors import DataError, RecipeError, ServeError
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.evaluation.experiments.specification import Experiment
from crosstower.recipe.frozen import FrozenModel
from crosstower.serving.http.problems import ApiError
from crosstower.serving.state.address import StateAddress, full_text
from crosstower.serving.state.events import now

MOST_EVENTS = 500_000
"""Largest number of events that a server reads for a report."""

_MOST_SECONDS, _KEPT_SECONDS = 120.0, 60.0
_CHILD = "crosstower.serving.experiment_report"


class ExperimentReportResponse(FrozenModel):
    """The report of an experiment, as `crosstower experiment report --json` prints it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    computed: datetime = Field(description="Time of the report; it is kept for a minute.")
    name: str
    start: datetime
    until: datetime = Field(description="Time of the last event.")
    control: str
    primary: str | None = Field(description="Metric that decides the verdict.")
    level: float
    users: dict[str, int] = Field(description="Number of users by arm.")
    ratio: dict[str, Any] | None = Field(description="Test of the numbers of users per arm.")
    lifts: list[dict[str, Any]]
    segments: list[dict[str, Any]]
    interleaved: list[dict[str, Any]]
    sizes: list[dict[str, Any]]
    daily: dict[str, Any]
    verdicts: list[str] = Field(description="Findings as sentences, most important first.")
    notes: list[str]


class ExperimentReports:
    """Computes the reports of a worker, one at a time.

    Requests for a report that is being computed wait for it. A report, or the reason why there is
    none, is kept for a minute.

    Args:
        experiments: of the server; None without any.
        state: address of the server's state.
        most_events: largest number of events to read.
        most_seconds: longest time that a report may take.
        kept_seconds: time that a report is kept.

    """

    def __init__(
        self,
        experiments: Experiments | None,
        state: StateAddress,
        *,
        most_events: int = MOST_EVENTS,
        most_seconds: float = _MOST_SECONDS,
        kept_seconds: float = _KEPT_SECONDS,
    ) -> None:
        self._experiments, self._state = experiments, state
        self._most_events, self._most_seconds = most_events, most_seconds
        self._kept_seconds = kept_seconds
        self._one = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._fresh_until: dict[str, float] = {}  # of tasks that are done

    async def of(self, name: str | None) -> dict[str, Any]:
        """Return the report of an experiment as plain data.

        Args:
            name: of the experiment; None for the only one.

        Raises:
            RecipeError: the server has no such experiment.
            DataError: there is no report yet, or there are too many events.
            ApiError: it took too long.

        """
        if self._experiments is None:
            raise RecipeError(
                "experiments: this server has none; start it with: crosstower serve BUNDLE"
                " --experiments FILE"
            )
        experiment = self._experiments.named(name)
        return await asyncio.shield(self._task(experiment))

    async def stop(self) -> None:
        """Cancel the reports that are being computed."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _task(self, experiment: Experiment) -> asyncio.Task[dict[str, Any]]:
        """Return the task of a report: the last one if it runs or is fresh, else a new one."""
        name = experiment.name
        task = self._tasks.get(name)
        if task is None or (task.done() and time.monotonic() > self._fresh_until[name]):
            task = self._tasks[name] = asyncio.create_task(self._computed(experiment))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # retrieved
        return task

    async def _computed(self, experiment: Experiment) -> dict[str, Any]:
        try:
            async with self._one:
                found = await self._child(experiment)
        finally:
            self._fresh_until[experiment.name] = time.monotonic() + self._kept_seconds
        if "problem" in found:
            error = ServeError if found["error"] == ServeError.__name__ else DataError
            raise error(found["problem"])
        return found["report"] | {"computed": now().isoformat()}

    async def _child(self, experiment: Experiment) -> dict[str, Any]:
        """Return the answer of the process that computes a report."""
        asked = {
            "experiment": experiment.model_dump_json(),
            "state": full_text(self._state),  # by a pipe, as it may hold a password
            "most_events": self._most_events,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _CHILD),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"POLARS_MAX_THREADS": "1"},
        )
        try:
            async with asyncio.timeout(self._most_seconds):
                output, _ = await process.communicate(json.dumps(asked).encode())
        except TimeoutError:
            raise ApiError(
                503,
                f"experiment '{experiment.name}': the report takes longer than"
                f" {self._most_seconds:g} seconds; run: crosstower experiment report FILE --state"
                f" {self._state}",
                reason="timeout",
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise RuntimeError(f"the report of '{experiment.name}' failed; see the lines above")
        return json.loads(output)
