"""The report of one task, from its predictions. No torch."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError
from crosstower.evaluation.metrics.calibration import reliability_curve
from crosstower.evaluation.metrics.predictions import require
from crosstower.evaluation.metrics.summary import Difference, Summary, difference
from crosstower.evaluation.metrics.tasks import HEADLINE_METRIC, task_metrics
from crosstower.evaluation.metrics.uncertainty import (
    auc_difference_error,
    bias_sds,
    mean_error,
    rmse_difference_error,
)
from crosstower.evaluation.reports.calibration_content import CalibrationEffect, calibration_effect
from crosstower.evaluation.reports.content import (
    CalibrationCurve,
    ColumnImportance,
    Lift,
    ModelMetrics,
    Role,
    Slices,
    TaskReport,
)
from crosstower.evaluation.reports.slices import slice_table
from crosstower.evaluation.reports.verdict import (
    accuracy_verdict,
    auc_verdict,
    baseline_verdict,
    best_verdict,
    mean_verdict,
    rmse_verdict,
)
from crosstower.recipe.tasks import HeadKind

Values = NDArray[np.float64]
# Normalised entropy falls by the same share as log loss: the base rate is that of the rows.
_REDUCED: dict[HeadKind, tuple[str, ...]] = {
    "binary": ("log_loss",),
    "regression": ("rmse", "mae"),
    "rating": ("rmse", "mae"),
}


@dataclass(frozen=True)
class _Scored:
    """A model's predictions `[rows]` of every seed, and their metrics."""

    shown: ModelMetrics
    predictions: tuple[Values, ...]


@dataclass(frozen=True)
class _Test:
    """The labelled test rows of a task."""

    task: str
    kind: HeadKind
    frame: pl.DataFrame
    labels: Values
    groups: pl.Series | None
    weights: Values | None

    @property
    def metric(self) -> str:
        return HEADLINE_METRIC[self.kind]

    def score(self, name: str, role: Role, predictions: Sequence[Values]) -> _Scored:
        given = self.groups, self.weights
        results = [task_metrics(self.kind, self.labels, p, *given) for p in predictions]
        summaries = {m: Summary.of([r[m] for r in results]) for m in results[0]}
        return _Scored(ModelMetrics(name, role, summaries), tuple(predictions))

    def compare(self, model: _Scored, other: _Scored) -> Difference:
        a, b = model.predictions[0], other.predictions[0]
        paired = auc_difference_error if self.kind == "binary" else rmse_difference_error
        means = (s.shown.metrics[self.metric] for s in (model, other))
        return difference(self.metric, *means, sampling_error=paired(self.labels, a, b))


def task_report(
    *,
    task: str,
    kind: HeadKind,
    models: Mapping[str, Sequence[pl.DataFrame]],
    constant: float,
    group: str | None = None,
    weight: str | None = None,
    slices: Sequence[str] = (),
    id_columns: Collection[str] = (),
    true_probability: str | None = None,
    calibrated_by: str | None = None,
    importance: ColumnImportance | None = None,
) -> TaskReport:
    """Evaluate one task from the predictions of a model and its baselines.

    Args:
        task: name; labels are in column `task` (null or NaN where missing), predictions in
            `task__prediction`.
        kind: of the task.
        models: predictions on the test rows, one frame per seed; the first model is ours, the
            others are baselines. All frames hold the same rows in the same order.
        constant: mean training label, which the constant baseline predicts.
        group: column for the metrics of groups, such as gAUC.
        weight: column of sample weights, for the weighted metrics.
        slices: columns to break metrics down by, for the first seed of our model.
        id_columns: those of `slices` whose numbers are names, as in a zip code.
        true_probability: column with the true probability of a binary task.
        calibrated_by: column of the types that calibration was fitted for. A column `task__raw`
            holds the predictions before calibration.
        importance: of the columns, for the report.

    Raises:
        DataError: a column is missing, or the frames do not hold the same rows.

    """
    columns = [c for c in (group, weight, true_probability) if c]
    test = _labelled(task, kind, models, columns, group=group, weight=weight)
    scored = [
        test.score(name, "model" if i == 0 else "baseline", [_predictions(test, f) for f in frames])
        for i, (name, frames) in enumerate(models.items())
    ]
    scored.append(_constant(test, constant))
    model, *others = scored
    best = _best(test, true_probability)
    lifts = tuple(_lift(test, model, other) for other in others)
    return TaskReport(
        name=task,
        kind=kind,
        rows=len(test.labels),
        models=tuple(s.shown for s in scored) + ((best.shown,) if best else ()),
        lifts=lifts,
        verdicts=tuple(_verdicts(test, model, lifts, best)),
        calibration=_calibration(test.labels, model.predictions[0]),
        effect=_effect(test, calibrated_by),
        slices=tuple(_slices(test, slices, id_columns)),
        importance=importance,
    )


def _labelled(
    task: str,
    kind: HeadKind,
    models: Mapping[str, Sequence[pl.DataFrame]],
    columns: list[str],
    *,
    group: str | None,
    weight: str | None,
) -> _Test:
    if not models or not all(models.values()):
        raise DataError(f"task '{task}': needs predictions of at least one seed of every model")
    frame = next(iter(models.values()))[0]
    for name in [task, *columns]:
        require(frame, name)
    for name, frames in models.items():
        for other in frames:
            require(other, task, f"{task}__prediction")
            if not other[task].equals(frame[task]):
                raise DataError(
                    f"task '{task}': the labels of '{name}' differ from those of the first model;"
                    " predict the same test rows in the same order"
                )
    labels = frame[task].cast(pl.Float64)
    frame = frame.filter(_known(labels))
    groups = None if group is None else frame[group]
    weights = None if weight is None else frame[weight].cast(pl.Float64).to_numpy()
    return _Test(task, kind, frame, frame[task].cast(pl.Float64).to_numpy(), groups, weights)


def _known(labels: pl.Series) -> pl.Series:
    return labels.is_not_null() & labels.is_not_nan().fill_null(value=False)


def _predictions(test: _Test, frame: pl.DataFrame) -> Values:
    known = frame.filter(_known(frame[test.task].cast(pl.Float64)))
    return known[f"{test.task}__prediction"].cast(pl.Float64).to_numpy()


def _constant(test: _Test, value: float) -> _Scored:
    name = "Constant base rate" if test.kind == "binary" else "Constant mean"
    return test.score(name, "constant", [np.full(len(test.labels), value)])


def _best(test: _Test, true_probability: str | None) -> _Scored | None:
    if true_probability is None:
        return None
    truth = test.frame[true_probability].cast(pl.Float64).to_numpy()
    return test.score("Best possible", "best", [truth])


def _lift(test: _Test, model: _Scored, other: _Scored) -> Lift:
    ours, theirs = model.shown.metrics, other.shown.metrics
    reductions = {m: 1.0 - _ratio(ours[m].mean, theirs[m].mean) for m in _REDUCED[test.kind]}
    return Lift(other.shown.name, test.compare(model, other), reductions)


def _ratio(a: float, b: float) -> float:
    return a / b if b != 0.0 else float("nan")


def labelled_calibration(frame: pl.DataFrame, task: str) -> CalibrationCurve | None:
    """Return the calibration of the rows that have a label; None if there are none.

    Args:
        frame: labels in column `task`, predictions in `task__prediction`.
        task: name.

    """
    known = frame.filter(_known(frame[task].cast(pl.Float64)))
    columns = (known[name].cast(pl.Float64) for name in (task, f"{task}__prediction"))
    return _calibration(*(column.to_numpy() for column in columns))


def _calibration(labels: Values, predictions: Values) -> CalibrationCurve | None:
    if len(labels) == 0:
        return None
    counts, edges = np.histogram(predictions, bins=40)
    return CalibrationCurve(reliability_curve(labels, predictions), edges, counts.astype(np.int64))


def _effect(test: _Test, by: str | None) -> CalibrationEffect | None:
    raw = f"{test.task}__raw"
    if raw not in test.frame.columns or test.frame.height == 0:
        return None
    before, after = (test.frame[c].to_numpy() for c in (raw, f"{test.task}__prediction"))
    return calibration_effect(test.task, test.kind, test.frame, before, after, by=by)


def _slices(test: _Test, columns: Sequence[str], id_columns: Collection[str]) -> list[Slices]:
    return [
        Slices(
            column,
            slice_table(
                test.frame,
                column=column,
                label=test.task,
                prediction=f"{test.task}__prediction",
                kind=test.kind,
                numbers_are_names=column in id_columns,
            ),
        )
        for column in columns
    ]


def _verdicts(
    test: _Test, model: _Scored, lifts: Sequence[Lift], best: _Scored | None
) -> list[str]:
    """Return the sentences of a task, the most important first."""
    if len(test.labels) == 0:
        return ["No test row has a label for this task, so it has no metrics."]
    *baselines, constant = lifts
    name = model.shown.name
    comparisons = [baseline_verdict(name, b.baseline, b.difference) for b in baselines]
    if best is not None:
        limit = best.shown.metrics[test.metric].mean
        comparisons.append(best_verdict(name, test.compare(model, best), best=limit))
    if math.isnan(constant.difference.value):  # one class only: no AUC, nothing to compare
        comparisons = []
    if test.kind == "binary":
        return _binary_verdicts(test, model, comparisons)
    rmse = model.shown.metrics["rmse"]
    always_mean = rmse.mean - constant.difference.value
    first = rmse_verdict(constant.difference, rmse=rmse, rmse_of_mean=always_mean)
    return [first, *comparisons, _mean_verdict(test, model)]


def _binary_verdicts(test: _Test, model: _Scored, comparisons: list[str]) -> list[str]:
    metrics, rows = model.shown.metrics, len(test.labels)
    positives = int(test.labels.sum())
    first = auc_verdict(metrics["auc"], positives=positives, negatives=rows - positives)
    majority = metrics["majority_rate"].mean
    last = accuracy_verdict(metrics["accuracy"], majority_rate=majority, rows=rows)
    return [first, *comparisons, last, _mean_verdict(test, model)]


def _mean_verdict(test: _Test, model: _Scored) -> str:
    """Return the sentence about predictions on average, over all seeds."""
    y, binary = test.labels, test.kind == "binary"
    over_seeds = np.mean(model.predictions, axis=0)
    return mean_verdict(
        float(over_seeds.mean()),
        float(y.mean()),
        error=mean_error(y, over_seeds, probabilities=binary),
        worst=max((bias_sds(y, p, probabilities=binary) for p in model.predictions), key=abs),
        percent=binary,
    )
