"""From measures of two bundles on the same rows to a verdict.

A bundle is rejected if it is worse with the given confidence, not for failing to be better. All
comparisons share one bootstrap, and the confidence is that of all of them together (Bonferroni), so
a bundle that equals the live one is rejected with a probability of at most 1 - confidence, to the
accuracy of the percentile bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from crosstower.evaluation.metrics.drift import ScoreDrift, reference_of
from crosstower.evaluation.metrics.paired import resampled
from crosstower.evaluation.metrics.registry import title_of
from crosstower.serving.retraining.figures import (
    CalibrationRatio,
    GateMeasurements,
    MetricComparison,
    PredictionDrift,
    Verdict,
)
from crosstower.serving.retraining.limits import GateLimits
from crosstower.serving.retraining.measures import BundleMeasures, Measure
from crosstower.values.arrays import Floats

_POWER = 0.8
_ROUNDING = 1e-9


def decide(
    parts: Sequence[BundleMeasures], *, rows: int, users: int, limits: GateLimits
) -> Verdict:
    """Return the verdict on a new bundle.

    Args:
        parts: measures of the rankers and of the retrievers.
        rows: number of rows.
        users: number of clusters of the bootstrap.
        limits: of the gate.

    """
    return _Decision(parts, rows, users, limits).verdict()


class _Decision:
    """Collects measurements, reasons and notes."""

    def __init__(
        self, parts: Sequence[BundleMeasures], rows: int, users: int, limits: GateLimits
    ) -> None:
        self._limits, self._rows, self._users = limits, rows, users
        self._predictions = {t: p for part in parts for t, p in part.predictions.items()}
        self._notes = [note for part in parts for note in part.notes]
        self._reasons = list[str]()
        measures = [m for part in parts for m in part.measures]
        self._measures = [m for m in measures if self._enough(f"{m.name}: {m.metric}", m.users)]
        given = {t: one for part in parts for t, one in part.calibration.items()}
        if limits.calibration is None:
            given = {}
        self._ratios = {
            task: one.statistic
            for task, one in given.items()
            if self._enough(f"{task}: calibration", one.users)
        }
        self._tail = (1.0 - limits.confidence) / max(len(self._measures) + len(self._ratios), 1)

    def verdict(self) -> Verdict:
        """Return the verdict."""
        statistics = {f"{m.name} {m.metric}": m.statistic for m in self._measures}
        statistics |= {f"{task} ratio": ratio for task, ratio in self._ratios.items()}
        clusters = max([self._users, *(m.users for m in self._measures)])
        limits, once = self._limits, np.ones(clusters)
        draws = resampled(statistics, clusters, repeats=limits.samples, seed=limits.seed)
        found = {name: statistic(once) for name, statistic in statistics.items()}
        self._check_finite()
        comparisons = [self._compared(m, found, draws) for m in self._measures]
        calibration = [self._calibrated(task, found, draws) for task in self._ratios]
        better = {c.name for c in comparisons if c.low > 0.0 and c.metric in ("log_loss", "rmse")}
        drift = [*self._drifted(better)]
        if not comparisons and not self._reasons:
            self._notes.append("nothing was compared; the bundle was only opened and sent requests")
        figures = GateMeasurements(
            self._rows, self._users, tuple(comparisons), tuple(calibration), tuple(drift)
        )
        return Verdict(tuple(self._reasons), tuple(self._notes), figures)

    def _enough(self, name: str, users: int) -> bool:
        """Return whether a measure has users enough for a bootstrap; note it if not."""
        enough = users >= self._limits.min_users
        if not enough:
            self._notes.append(
                f"{name} is not judged: it has {users:,} users or lists, fewer than"
                f" gate.min_users ({self._limits.min_users})"
            )
        return enough

    def _interval(self, draws: Floats) -> tuple[float, float]:
        known = draws[np.isfinite(draws)]
        if not len(known):
            return float("nan"), float("nan")
        low, high = np.quantile(known, [self._tail, 1.0 - self._tail])
        return float(low), float(high)

    def _compared(
        self, measure: Measure, found: dict[str, Floats], draws: dict[str, Floats]
    ) -> MetricComparison:
        name, limits = f"{measure.name} {measure.metric}", self._limits
        live, candidate = (float(v) for v in found[name])
        gains = measure.gain(draws[name])
        gain, (low, high) = float(measure.gain(found[name])), self._interval(gains)
        normal = NormalDist()
        sds = normal.inv_cdf(1.0 - self._tail) + normal.inv_cdf(_POWER)
        detectable = sds * float(np.nanstd(gains)) + limits.max_loss
        passed = not high < -limits.max_loss - _ROUNDING
        if not passed:
            self._reasons.append(_worse(measure, (live, candidate), -gain, -high, limits))
        return MetricComparison(
            measure.name, measure.metric, live, candidate, gain, low, high, detectable, passed
        )

    def _calibrated(
        self, task: str, found: dict[str, Floats], draws: dict[str, Floats]
    ) -> CalibrationRatio:
        name = f"{task} ratio"
        live, candidate = (float(v) for v in found[name])
        low, high = self._interval(draws[name][:, 1])
        least, most = self._limits.calibration or (0.0, np.inf)
        # A bundle that is as near to the labels as the live one is no worse.
        distance = np.abs(np.log(np.maximum(draws[name], _ROUNDING)))
        farther = self._interval(distance[:, 1] - distance[:, 0])[0] > _ROUNDING
        passed = not (farther and (high < least or low > most))
        if not passed:
            bound = f"at most {high:.3g}" if high < least else f"at least {low:.3g}"
            self._reasons.append(
                f"{task}: predictions are {candidate:.3g} times the labels ({bound} with"
                f" {self._limits.confidence:.0%} confidence; the live bundle's are {live:.3g} times"
                f" them), and gate.calibration allows {least:g} to {most:g}"
            )
        return CalibrationRatio(task, live, candidate, low, high, passed)

    def _drifted(self, better: set[str]) -> list[PredictionDrift]:
        """Return the drift per task; a large one is allowed for a bundle that is better."""
        most, drifts = self._limits.drift, list[PredictionDrift]()
        for task, p in self._predictions.items():
            if not np.isfinite(p).all():
                continue
            drift = ScoreDrift({task: reference_of(p[:, 0])}, size=max(len(p), 1))
            drift.add({task: p[:, 1]})
            psi = drift.psi()[task]
            if psi is None:
                self._notes.append(f"{task}: drift is not judged: it needs 500 labelled rows")
                continue
            passed = most is None or psi <= most or task in better
            if not passed:
                self._reasons.append(
                    f"{task}: predictions have moved far from those of the live bundle (population"
                    f" stability index {psi:.2f}; gate.drift allows {most:g}) without being better"
                )
            drifts.append(PredictionDrift(task, psi, passed))
        return drifts

    def _check_finite(self) -> None:
        for task, p in self._predictions.items():
            if wrong := int((~np.isfinite(p[:, 1])).sum()):
                self._reasons.append(
                    f"{task}: {wrong:,} of {len(p):,} predictions of the new bundle are not finite"
                )


def _worse(
    measure: Measure, values: tuple[float, float], loss: float, least: float, limits: GateLimits
) -> str:
    """Return the sentence about a metric that is worse."""
    form = ".2%" if measure.relative else ".4f"
    return (
        f"{measure.name}: {title_of(measure.metric)} is {values[1]:.4f}, that of the live bundle"
        f" {values[0]:.4f}: worse by {loss:{form}}, at least {least:{form}} with"
        f" {limits.confidence:.0%} confidence; gate.max_loss allows {limits.max_loss:{form}}"
    )
