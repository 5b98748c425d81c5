"""The content of a report, as plain data; `report.write_report` renders it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.relevant_counts import RelevantCounts
from crosstower.evaluation.metrics.calibration import ReliabilityCurve
from crosstower.evaluation.metrics.summary import Difference, Summary
from crosstower.evaluation.reports.calibration_content import CalibrationEffect
from crosstower.recipe.tasks import HeadKind

Role = Literal["model", "baseline", "constant", "best"]


@dataclass(frozen=True)
class ModelMetrics:
    """One row of a table of metrics: a model or an order, over its seeds.

    `intervals` are 95 % bootstrap intervals of the first seed; some or all may be absent.
    """

    name: str
    role: Role
    metrics: Mapping[str, Summary]
    intervals: Mapping[str, tuple[float, float]] = field(
        default_factory=dict[str, tuple[float, float]]
    )


@dataclass(frozen=True)
class Lift:
    """The model against one baseline.

    `reductions` are shares of the baseline's value taken away, by metric: 0.02 is 2 % less log
    loss; negative is more.
    """

    baseline: str
    difference: Difference
    reductions: Mapping[str, float]


@dataclass(frozen=True)
class CalibrationCurve:
    """Predictions of the model's first seed against labels.

    `edges` `[bins + 1]` and `counts` `[bins]` are the histogram of its predictions.
    """

    curve: ReliabilityCurve
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Slices:
    """Metrics of the model's first seed per value of a column, as `slices.slice_table` gives."""

    column: str
    table: pl.DataFrame


@dataclass(frozen=True)
class ColumnImportance:
    """By how much shuffling a column makes `metric` worse: (column, mean, sd), largest first.

    `value` is the metric of the `rows` validation rows as they are. `mean` and `sd` are over the
    repeats, and None where they are undefined. `by_group` are the columns shuffled among groups.
    """

    metric: str
    value: float | None
    rows: int
    repeats: int
    columns: tuple[tuple[str, float | None, float | None], ...]
    by_group: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskReport:
    """The report of one task; `task_report` builds it from predictions.

    `effect` compares the model's predictions before and after calibration, if there was one.
    """

    name: str
    kind: HeadKind
    rows: int
    models: tuple[ModelMetrics, ...]
    lifts: tuple[Lift, ...]
    verdicts: tuple[str, ...]
    calibration: CalibrationCurve | None
    effect: CalibrationEffect | None = None
    slices: tuple[Slices, ...] = ()
    importance: ColumnImportance | None = None


@dataclass(frozen=True)
class RetrievalReport:
    """The report of a retriever; the model comes first, then its baselines.

    `headline` is the k of the first table, the verdict and the slices. `relevant_counts` are
    the numbers of relevant items and of those in the user's history; None without users.
    """

    queries: int
    items: int
    ks: tuple[int, ...]
    headline: int
    models: tuple[ModelMetrics, ...]
    verdicts: tuple[str, ...]
    slices: Slices
    relevant_counts: RelevantCounts | None = None


@dataclass(frozen=True)
class DataFacts:
    """Where the rows came from.

    `rows` counts by split; `base_rates` is {task: {split: mean label}}; `notes` are sentences
    about skipped, unseen or missing values.
    """

    source: str
    split: str
    rows: Mapping[str, int]
    base_rates: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeedHistory:
    """The training of one seed: a record per evaluation with `epoch`, `train_loss` and `valid`.

    `valid` is {"TASK.METRIC": value}; other keys of a record are not shown.
    """

    seed: int
    history: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ReportContent:
    """A whole report. `environment` is shown as it is: {"torch": "2.13.0", "threads": "2"}."""

    title: str
    date: str
    recipe: str
    data: DataFacts
    tasks: tuple[TaskReport, ...]
    trainings: tuple[SeedHistory, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    retrieval: RetrievalReport | None = None


def epochs_of(record: Mapping[str, Any]) -> float:
    """Return the epochs trained up to an evaluation, such as 1.5 in the middle of the second.

    >>> epochs_of({"epoch": 1, "epochs": 1.5}), epochs_of({"epoch": 1})
    (1.5, 2.0)

    Args:
        record: of an evaluation; those of earlier versions end an epoch.

    """
    return float(record.get("epochs", record["epoch"] + 1))
