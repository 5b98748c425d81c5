"""The verdict of the gate, and the measurements behind it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from crosstower.values.json_values import json_values


@dataclass(frozen=True)
class MetricComparison:
    """A metric of both bundles.

    >>> found = MetricComparison("click", "auc", 0.70, 0.71, 0.01, 0.002, 0.018, 0.008, passed=True)
    >>> found.gain > 0
    True

    Args:
        name: task, "lists" or "retrieval".
        metric: name.
        live: value of the live bundle.
        candidate: value of the new bundle.
        gain: of the new bundle, above 0 if it is better; of log loss and RMSE as a share of `live`.
        low: lower limit of the gain.
        high: upper limit of the gain.
        detectable: smallest loss that is found with a probability of 80 %.
        passed: whether it is within the limits.

    """

    name: str
    metric: str
    live: float
    candidate: float
    gain: float
    low: float
    high: float
    detectable: float
    passed: bool


@dataclass(frozen=True)
class CalibrationRatio:
    """Sum of predictions over sum of labels of a binary task.

    Args:
        task: name.
        live: ratio of the live bundle.
        candidate: ratio of the new bundle.
        low: lower limit of `candidate`.
        high: upper limit of `candidate`.
        passed: whether it is within the limits.

    """

    task: str
    live: float
    candidate: float
    low: float
    high: float
    passed: bool


@dataclass(frozen=True)
class PredictionDrift:
    """Population stability index between the predictions of both bundles.

    Args:
        task: name.
        psi: the index.
        passed: whether it is within the limits.

    """

    task: str
    psi: float
    passed: bool


@dataclass(frozen=True)
class GateMeasurements:
    """Measurements of the gate.

    Args:
        rows: number of rows.
        users: number of users, or of rows if the recipes name no user.
        comparisons: of metrics.
        calibration: of binary tasks.
        drift: of all tasks.

    """

    rows: int = 0
    users: int = 0
    comparisons: tuple[MetricComparison, ...] = ()
    calibration: tuple[CalibrationRatio, ...] = ()
    drift: tuple[PredictionDrift, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The judgement of the gate.

    >>> Verdict(("the new bundle is damaged",)).passed
    False

    Args:
        reasons: why the bundle is rejected, in sentences; none if it passed.
        notes: comparisons that were not possible, in sentences.
        figures: measurements.

    """

    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    figures: GateMeasurements = field(default_factory=GateMeasurements)

    @property
    def passed(self) -> bool:
        """Whether the bundle may be served."""
        return not self.reasons

    def plain(self) -> dict[str, Any]:
        """Return reasons, notes and measurements as JSON values; NaN and infinity are null."""
        return json_values(asdict(self))
