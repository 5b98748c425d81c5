"""The result of a comparison of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from crosstower.evaluation.metrics.paired_tests import PairedTest
from crosstower.evaluation.metrics.registry import title_of
from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.reports.content import SeedHistory
from crosstower.evaluation.reports.notebook import html_table
from crosstower.values.json_values import json_values


@dataclass(frozen=True)
class TaskComparison:
    """The runs on one task, or on the lists of retrievers.

    Args:
        name: of the task; "retrieval" for lists.
        rows: number of labelled test rows, or of test queries.
        metrics: by run, then by metric, over seeds.
        tests: by run, against the first one.
        unit: what `rows` counts, in words: test rows or test queries.

    """

    name: str
    rows: int
    metrics: Mapping[str, Mapping[str, Summary]]
    tests: Mapping[str, Sequence[PairedTest]]
    unit: str = "test rows"

    def shown(self) -> dict[str, str]:
        """Return the titles of the metrics of the table, by name."""
        names = dict.fromkeys(name for found in self.metrics.values() for name in found)
        return {name: title_of(name) for name in names}


@dataclass(frozen=True)
class Curves:
    """Learning curves of a run: the monitored metric and the loss of each seed."""

    run: str
    monitor: str
    trainings: tuple[SeedHistory, ...]


@dataclass(frozen=True)
class Comparison:
    """Runs on the same test rows, the first one being the reference.

    Args:
        runs: names; folders.
        models: the main model of each run.
        tasks: compared.
        notes: sentences about the rows and about omissions.
        curves: of the training runs.

    """

    runs: tuple[str, ...]
    models: tuple[str, ...]
    tasks: tuple[TaskComparison, ...]
    notes: tuple[str, ...]
    curves: tuple[Curves, ...]

    def tests(self) -> pl.DataFrame:
        """Return a row per task, run and test, with the difference to the first run."""
        rows = [
            {"task": task.name, "run": run, **plain_test(test)}
            for task in self.tasks
            for run, tests in task.tests.items()
            for test in tests
        ]
        return pl.DataFrame(rows)

    def metrics(self) -> pl.DataFrame:
        """Return a row per task, run and metric, with mean and sd over seeds."""
        rows = [
            {"task": task.name, "run": run, "metric": name, "mean": s.mean, "sd": s.sd}
            for task in self.tasks
            for run, found in task.metrics.items()
            for name, s in found.items()
        ]
        return pl.DataFrame(rows, schema_overrides={"sd": pl.Float64})

    def plain(self) -> dict[str, Any]:
        """Return the comparison as plain data for JSON; None where undefined."""
        return {
            "runs": list(self.runs),
            "models": list(self.models),
            "notes": list(self.notes),
            "metrics": json_values(self.metrics().to_dicts()),
            "tests": json_values(self.tests().to_dicts()),
        }

    def __repr__(self) -> str:
        """Return one line: the runs and the tasks."""
        tasks = ", ".join(task.name for task in self.tasks)
        return f"Comparison({' vs '.join(self.runs)}: {tasks})"

    def _repr_html_(self) -> str:
        """Return the metrics per task and run, and the findings, as a table, for notebooks."""
        from crosstower.fitting.comparing.page import sentences_of  # noqa: PLC0415 - reads results

        names = list(dict.fromkeys(name for task in self.tasks for name in task.shown()))
        rows = [
            [task.name if place == 0 else "", run, *(_cell(metrics.get(name)) for name in names)]
            for task in self.tasks
            for place, (run, metrics) in enumerate(task.metrics.items())
        ]
        counts = "; ".join(f"{task.name}, {task.rows:,} {task.unit}" for task in self.tasks)
        title = f"{' · '.join(self.runs)}: {counts}"
        notes = (*sentences_of(self), *self.notes)
        return html_table(title, ["task", "run", *map(title_of, names)], rows, notes=notes)


def _cell(found: Summary | None) -> str:
    return "–" if found is None or math.isnan(found.mean) else str(found)


def plain_test(test: PairedTest) -> dict[str, Any]:
    """Return a test as plain data."""
    names = ("metric", "method", "value", "low", "high", "p", "adjusted", "verdict")
    return {name: getattr(test, name) for name in names}
