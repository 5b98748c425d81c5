"""Labels to what heads learn, and logits back to probabilities, ratings and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from crosstower.recipe.own_columns import label_name
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary, Rating, Regression, Task
from crosstower.values.columns import floats_of
from crosstower.values.moments import Moments

Floats = NDArray[np.float64]


@dataclass
class LabelFit:
    """Learns the mean and standard deviation of a task's labels from its training chunks.

    With `when`, only rows where that event happened count; `otherwise` is the mean of the others.
    """

    name: str
    task: Regression | Binary
    moments: Moments = field(default_factory=Moments)
    others: Moments = field(default_factory=Moments)

    def add(self, frame: pl.DataFrame) -> None:
        """Take in the labels of one chunk of cleaned rows."""
        y = floats_of(frame[label_name(self.name)])
        known = ~np.isnan(y)
        if isinstance(self.task, Binary):
            self.moments.add(y[known])
            return
        happened = _happened(self.task, frame)
        self.moments.add(_scaled(self.task, y[known & (happened == 1)]))
        self.others.add(y[known & (happened == 0)])

    def merge(self, other: LabelFit) -> None:
        """Take in the labels of other rows."""
        self.moments.merge(other.moments)
        self.others.merge(other.others)

    @property
    def scale(self) -> tuple[float, float]:
        """Mean and standard deviation of what the head learns."""
        return self.moments.mean, self.moments.sd


def encode_labels(
    schema: Schema, scales: Mapping[str, tuple[float, float]], frame: pl.DataFrame
) -> NDArray[np.float32]:
    """Return what the heads learn, `[B, T]`; NaN where there is no label.

    Ratings lie in [0, 1]; regressions are standardised, and have no label in rows where the event
    that they are conditional on did not happen.
    """
    labels = np.full((frame.height, len(schema.tasks)), np.nan, dtype=np.float32)
    columns, known = {name: label_name(name) for name in schema.tasks}, set(frame.columns)
    for place, (name, task) in enumerate(schema.tasks.items()):
        if columns[name] not in known:
            continue
        y = floats_of(frame[columns[name]])
        if isinstance(task, Rating):
            y = (y - task.low) / (task.high - task.low)
        elif isinstance(task, Regression):
            mean, sd = scales[name]
            y = (_scaled(task, y) - mean) / sd
            y = np.where(_happened(task, frame) == 1, y, np.nan)
        labels[:, place] = y
    return labels


def decode_logits(
    schema: Schema,
    scales: Mapping[str, tuple[float, float]],
    otherwise: Mapping[str, float],
    logits: Mapping[str, NDArray[Any]],
    kept: Mapping[str, float],
) -> dict[str, Floats]:
    """Return logits `[B]` of all heads as probabilities, ratings or numbers in label units.

    A conditional regression becomes its expectation over all rows, by the law of total
    expectation: E[y] = P(event) · E[y | event] + (1 - P(event)) · otherwise. Where the training
    rows `kept` a share of the event's negatives only, its odds are multiplied by that share, which
    is the prior correction; the event's own probability is left to the calibrators. Class weights
    multiply the odds of a binary task in training, and are divided out again.
    """
    values = {n: _decoded(t, scales.get(n), logits[n]) for n, t in schema.tasks.items()}
    for name, task in schema.tasks.items():
        if isinstance(task, Regression) and task.when is not None:
            shift = math.log(kept.get(task.when, 1.0))
            shift += _unweighting(schema.tasks[task.when], scales.get(task.when))
            p = expit(logits[task.when].astype(np.float64) + shift)
            values[name] = p * values[name] + (1.0 - p) * otherwise.get(name, 0.0)
    return values


def _decoded(task: Task, scale: tuple[float, float] | None, logits: NDArray[Any]) -> Floats:
    x = logits.astype(np.float64)
    if isinstance(task, Binary):
        return expit(x + _unweighting(task, scale))
    if isinstance(task, Rating):
        return task.low + (task.high - task.low) * expit(x)
    mean, sd = scale or (0.0, 1.0)
    x = np.expm1(x * sd + mean) if task.log1p else x * sd + mean
    return x if task.clip is None else np.clip(x, *task.clip)


def _unweighting(task: Task, scale: tuple[float, float] | None) -> float:
    """Return the shift of a binary task's log odds that undoes its class weights."""
    if not isinstance(task, Binary):
        return 0.0
    negative, positive = task.class_weights(scale and scale[0])
    return math.log(negative / positive)


def _scaled(task: Regression, y: Floats) -> Floats:
    return np.log1p(y) if task.log1p else y


def _happened(task: Regression, frame: pl.DataFrame) -> Floats:
    """Return 1, 0 or NaN (not known) a row: whether the event of `when` happened."""
    if task.when is None or label_name(task.when) not in frame.columns:
        return np.ones(frame.height)
    return floats_of(frame[label_name(task.when)])
