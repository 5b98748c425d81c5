"""Platt scaling of probabilities, and a line for numbers and ratings. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, FiniteFloat
from scipy.special import expit, logit

from crosstower.recipe.frozen import FrozenModel
from crosstower.values.arrays import AnyFloats, Floats

Range = tuple[float, float]
_SURE = 1e-7  # probabilities are clipped to [1e-7, 1 - 1e-7] before their logit is taken
_LEVEL = 1e-9  # logits that differ by less are one value, as are numbers by this share of them
_Slope = Annotated[FiniteFloat, Field(gt=0)]


class Platt(FrozenModel):
    """σ(slope·logit(p) + intercept) for probabilities `p`."""

    kind: Literal["platt"] = "platt"
    slope: _Slope
    intercept: FiniteFloat

    def apply(self, p: AnyFloats) -> Floats:
        """Return the calibrated probabilities."""
        return np.asarray(expit(self.slope * _logits(p) + self.intercept))


class Line(FrozenModel):
    """slope·p + intercept in the unit of the label, moved into [low, high] where they are set."""

    kind: Literal["line"] = "line"
    slope: _Slope
    intercept: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None

    def apply(self, p: AnyFloats) -> Floats:
        """Return the calibrated values."""
        return _clipped(self.slope * p.astype(np.float64) + self.intercept, self.low, self.high)


def fit_platt(y: Floats, p: Floats) -> Platt | None:
    """Platt 1999, "Probabilistic Outputs for Support Vector Machines", with his targets."""
    positives = float(y.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2)
    x, t = _logits(p), np.where(y == 1, high, low)
    if np.ptp(x) <= _LEVEL:
        return Platt(slope=1.0, intercept=float(logit(t.mean()) - x.mean()))
    slope, intercept = _most_likely(x, t)
    return Platt(slope=slope, intercept=intercept) if slope > 0 else None


def _most_likely(x: Floats, t: Floats) -> tuple[float, float]:
    """Return (a, b) with the least cross-entropy of σ(a·x + b) against targets `t` in (0, 1)."""
    mean, deviation = float(x.mean()), float(x.std())
    inputs = np.stack([(x - mean) / deviation, np.ones_like(x)])  # [2, B]

    def loss_and_gradient(w: Floats) -> tuple[float, Floats]:
        z = w @ inputs
        return float(np.mean(np.logaddexp(0.0, z) - t * z)), inputs @ (expit(z) - t) / len(t)

    def hessian(w: Floats) -> Floats:
        s = expit(w @ inputs)
        return (inputs * (s * (1.0 - s))) @ inputs.T / len(t)

    start, options = np.array([0.0, logit(t.mean())]), {"gtol": 1e-9, "maxiter": 100}
    from scipy.optimize import minimize  # noqa: PLC0415 - slow to import

    found = minimize(
        loss_and_gradient, start, jac=True, hess=hessian, method="trust-exact", options=options
    )
    slope = float(found.x[0]) / deviation
    return slope, float(found.x[1]) - slope * mean


def fit_line(y: Floats, p: Floats, limits: Range | None) -> Line | None:
    """Return the least-squares line of `y` on `p`."""
    low, high = limits or (None, None)
    slope, middle = 1.0, p - p.mean()
    if np.ptp(p) > _LEVEL * np.abs(p).max():  # in whatever unit
        slope = float(middle @ (y - y.mean()) / (middle @ middle))
    if slope <= 0:
        return None
    return Line(slope=slope, intercept=float(y.mean() - slope * p.mean()), low=low, high=high)


def _logits(p: AnyFloats) -> Floats:
    return np.asarray(logit(np.clip(p.astype(np.float64), _SURE, 1.0 - _SURE)))


def _clipped(values: Floats, low: float | None, high: float | None) -> Floats:
    return values if low is None and high is None else np.clip(values, low, high)
