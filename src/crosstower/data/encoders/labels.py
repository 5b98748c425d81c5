"""Labels to targets of heads, and logits back to probabilities, ratings and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, logit

from crosstower.recipe.own_columns import label_name
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary, Rating, Regression, Task
from crosstower.values.arrays import Floats
from crosstower.values.columns import floats_of
from crosstower.values.moments import Moments


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
        """Add the labels of one chunk of cleaned rows."""
        y = floats_of(frame[label_name(self.name)])
        known = ~np.isnan(y)
        if isinstance(self.task, Binary):
            self.moments.add(y[known])
            return
        happened = _happened(self.task, frame)
        self.moments.add(_scaled(self.task, y[known & (happened == 1)]))
        self.others.add(y[known & (happened == 0)])

    def merge(self, other: LabelFit) -> None:
        """Add the labels of other rows."""
        self.moments.merge(other.moments)
        self.others.merge(other.others)

    @property
    def scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the target."""
        return self.moments.mean, self.moments.sd


def encode_labels(
    schema: Schema, scales: Mapping[str, tuple[float, float]], frame: pl.DataFrame
) -> NDArray[np.float32]:
    """Return the targets of the heads, `[B, T]`; NaN where there is no label.

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
            x = _unweighted(schema.tasks[task.when], scales.get(task.when), logits[task.when])
            p = expit(x + math.log(kept.get(task.when, 1.0)))
            values[name] = p * values[name] + (1.0 - p) * otherwise.get(name, 0.0)
    return values


def _decoded(task: Task, scale: tuple[float, float] | None, logits: NDArray[Any]) -> Floats:
    if isinstance(task, Binary):
        return expit(_unweighted(task, scale, logits))
    x = logits.astype(np.float64)
    if isinstance(task, Rating):
        return task.low + (task.high - task.low) * expit(x)
    mean, sd = scale or (0.0, 1.0)
    x = np.expm1(x * sd + mean) if task.log1p else x * sd + mean
    return x if task.clip is None else np.clip(x, *task.clip)


def _unweighted(task: Task, scale: tuple[float, float] | None, logits: NDArray[Any]) -> Floats:
    """Return the log odds of a task without the class weights that it was trained with.

    Weights multiply the odds of the labels. With label smoothing s, a model learns
    q (1 - s) + s / 2 for the weighted probability q, so weights are undone on q. Predictions
    outside of [s / 2, 1 - s / 2], which no q gives, stay as they are; the order of rows does, too.
    """
    x = logits.astype(np.float64)
    if not isinstance(task, Binary):
        return x
    negative, positive = task.class_weights(scale and scale[0])
    if negative == positive:
        return x
    if not task.label_smoothing:
        return x + math.log(negative / positive)
    smoothing, p = task.label_smoothing, expit(x)
    q = np.clip((p - smoothing / 2) / (1.0 - smoothing), 0.0, 1.0)
    unweighted = q * negative / (q * negative + (1.0 - q) * positive)
    inside = (q > 0.0) & (q < 1.0)
    return np.where(inside, logit(unweighted * (1.0 - smoothing) + smoothing / 2), x)


def _scaled(task: Regression, y: Floats) -> Floats:
    return np.log1p(y) if task.log1p else y


def _happened(task: Regression, frame: pl.DataFrame) -> Floats:
    """Return 1, 0 or NaN (not known) a row: whether the event of `when` happened."""
    if task.when is None or label_name(task.when) not in frame.columns:
        return np.ones(frame.height)
    return floats_of(frame[label_name(task.when)])
