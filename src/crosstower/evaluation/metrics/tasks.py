"""Metrics of predictions against labels, by the names that recipes use. No torch.

Labels `y` and predictions `p` are arrays `[B]`. Missing labels are NaN: `task_metrics` leaves
them out (`drop_missing`), the other functions expect them gone. A metric that is not defined for
the rows given, such as the AUC of one class, is NaN.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crosstower.errors import DataError
from crosstower.evaluation.metrics.grouped import TOP
from crosstower.evaluation.metrics.registry import (
    Floats,
    Groups,
    LabelledPredictions,
    metrics_of,
    number_of,
)
from crosstower.evaluation.metrics.values import refuse
from crosstower.recipe.tasks import HeadKind

DEFAULT_METRIC: dict[HeadKind, str] = {"binary": "log_loss", "regression": "rmse", "rating": "rmse"}
"""The metric to monitor where the recipe names none: the one nearest to the loss."""

HEADLINE_METRIC: dict[HeadKind, str] = {"binary": "auc", "regression": "rmse", "rating": "rmse"}
"""The metric that reports and the importance of columns are about."""

WEIGHTED_METRIC: dict[HeadKind, str] = {
    "binary": "weighted_log_loss",
    "regression": "weighted_rmse",
    "rating": "weighted_rmse",
}
"""`DEFAULT_METRIC` of a task with sample weights."""

RANKING_METRIC = f"ndcg@{TOP}"
"""`DEFAULT_METRIC` for a loss that learns an order."""


def task_metrics(
    kind: HeadKind,
    y: Floats,
    p: Floats,
    groups: Groups | None = None,
    weights: Floats | None = None,
) -> dict[str, float]:
    """Return every registered metric of a kind of task, over the rows with a label.

    Without `groups` or `weights` the metrics that need them, such as gAUC, are omitted.

    >>> found = task_metrics("binary", np.array([0.0, 1.0, np.nan]), np.array([0.2, 0.7, 0.5]))
    >>> found["auc"], round(found["log_loss"], 4)
    (1.0, 0.2899)

    Args:
        kind: of the task.
        y: labels `[B]`, NaN where missing.
        p: predictions `[B]`; probabilities of a binary task.
        groups: `[B]`, group ids; not used for a regression.
        weights: `[B]`, sample weights, 0 or more.

    Raises:
        DataError: lengths differ, a prediction is not finite, a weight is negative or missing, or
            a label or a prediction is outside the range of its kind.

    """
    if weights is not None:
        if len(weights) != len(y):
            raise DataError(f"metrics need one weight a label, got {len(weights)} and {len(y)}")
        refuse(~(weights >= 0.0), weights, "expected a sample weight of at least 0")
        weights = weights[~np.isnan(y)]
    y, p, groups = drop_missing(y, p, groups)
    _check_binary(y, p) if kind == "binary" else _check_finite(y, p)
    rows = LabelledPredictions(y, p, kind, None if kind == "regression" else groups, weights)
    found = [m for m in metrics_of(kind) if rows.groups is not None or not m.grouped]
    found = [m for m in found if rows.weights is not None or not m.weighted]
    return {metric.name: number_of(metric, rows) for metric in found}


def drop_missing(
    y: Floats, p: Floats, groups: Groups | None = None
) -> tuple[Floats, Floats, Groups | None]:
    """Return labels, predictions and groups of the rows whose label is not NaN.

    Raises:
        DataError: the lengths differ.

    """
    _check_lengths(y, p, groups)
    known = ~np.isnan(y)
    if bool(known.all()):
        return y, p, groups
    if isinstance(groups, pl.Series):
        return y[known], p[known], groups.filter(pl.Series(known))
    return y[known], p[known], None if groups is None else groups[known]


def _check_lengths(y: Floats, p: Floats, groups: Groups | None) -> None:
    lengths = {"labels": len(y), "predictions": len(p)}
    if groups is not None:
        lengths["groups"] = len(groups)
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{n} {name}" for name, n in lengths.items())
        raise DataError(f"metrics need one prediction a label, got {given}; pass the same rows")


def _check_finite(y: Floats, p: Floats) -> None:
    for name, values in (("label", y), ("prediction", p)):
        refuse(~np.isfinite(values), values, f"expected a finite {name}")


def _check_binary(y: Floats, p: Floats) -> None:
    refuse((y != 0) & (y != 1), y, "expected a label of 0 or 1 (drop_missing removes NaN)")
    refuse(~((p >= 0) & (p <= 1)), p, "expected a probability in [0, 1], not a logit")
