"""The effect of calibration on a task: curves and metrics before and after. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.evaluation.metrics.calibration import (
    ReliabilityCurve,
    expected_calibration_error,
    reliability_curve,
)
from crosstower.evaluation.metrics.predictions import require, rows_of_types
from crosstower.evaluation.metrics.registry import Floats
from crosstower.evaluation.metrics.regression import rmse
from crosstower.evaluation.metrics.tasks import task_metrics
from crosstower.recipe.tasks import HeadKind
from crosstower.values.arrays import Indices

_SHOWN: dict[HeadKind, tuple[str, ...]] = {
    "binary": ("ece", "normalised_entropy", "log_loss"),
    "regression": ("rmse", "mae"),
    "rating": ("rmse", "mae"),
}


@dataclass(frozen=True)
class CalibrationEffect:
    """A task before and after calibration, over the rows given that have a label.

    `metrics` is {metric: (before, after)}: `ece`, `normalised_entropy` and `log_loss` of a binary
    task, `rmse` and `mae` of the others; NaN is not defined. `by_type` has the columns `type`
    (text), `rows` and `ece_before`, `ece_after` (`rmse_before`, `rmse_after` if not binary), the
    type with most rows first and null, the rows without a type, last; None without types.
    """

    task: str
    kind: HeadKind
    before: ReliabilityCurve
    after: ReliabilityCurve
    metrics: Mapping[str, tuple[float, float]]
    by_type: pl.DataFrame | None


def calibration_effect(
    task: str,
    kind: HeadKind,
    frame: pl.DataFrame,
    raw: Floats,
    calibrated: Floats,
    *,
    by: str | None = None,
) -> CalibrationEffect:
    """Compare raw and calibrated predictions on rows that calibration has not seen.

    Args:
        task: name; its labels are in column `task`, null or NaN where missing.
        kind: of the task.
        frame: the rows, with the columns `task` and `by`.
        raw: predictions `[rows]` before calibration.
        calibrated: predictions `[rows]` after it.
        by: column with the content type, if the table by type is wanted.

    Raises:
        DataError: a column is missing, lengths differ, or a label or a prediction is outside the
            range of its kind.

    """
    require(frame, task)
    labels = frame[task].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    before, after = (task_metrics(kind, labels, p) for p in (raw, calibrated))
    known = ~np.isnan(labels)
    rows, y = frame.filter(pl.Series(known)), labels[known]
    a, b = raw[known].astype(np.float64), calibrated[known].astype(np.float64)
    return CalibrationEffect(
        task=task,
        kind=kind,
        before=reliability_curve(y, a),
        after=reliability_curve(y, b),
        metrics={name: (before[name], after[name]) for name in _SHOWN[kind]},
        by_type=None if by is None else _by_type(kind, rows_of_types(rows, by), y, a, b),
    )


def _by_type(
    kind: HeadKind,
    rows: Mapping[str | None, Indices],
    y: NDArray[np.float64],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> pl.DataFrame:
    name = "ece" if kind == "binary" else "rmse"
    metric = expected_calibration_error if kind == "binary" else rmse
    table = pl.DataFrame(
        {
            "type": pl.Series(list(rows), dtype=pl.String),
            "rows": [len(places) for places in rows.values()],
            f"{name}_before": [metric(y[places], before[places]) for places in rows.values()],
            f"{name}_after": [metric(y[places], after[places]) for places in rows.values()],
        }
    )
    return table.sort(pl.col("type").is_null(), -pl.col("rows"), "type")
