"""Maps from raw to calibrated predictions of one group of rows, and how each is fitted. No torch.

Predictions `p` and labels `y` are arrays `[B]`. Every map rises or stays level, so calibration
never turns the order of two rows round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, model_validator
from scipy.special import expit, logit

from crosstower.errors import DataError
from crosstower.evaluation.metrics.registry import Floats
from crosstower.evaluation.metrics.values import refuse
from crosstower.recipe.calibration import Method
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.tasks import HeadKind

MIN_ROWS = 200
"""A type with fewer labelled rows has no map of its own."""

MIN_CLASS_ROWS = 10
"""Nor has one of a binary task with fewer rows of either class."""

Values = NDArray[np.float64]
Range = tuple[float, float]
_SURE = 1e-7  # probabilities are clipped to [1e-7, 1 - 1e-7] before their logit is taken
_LEVEL = 1e-9  # logits that differ by less are one value, as are numbers by this share of them
_ALL = slice(None)
_Slope = Annotated[FiniteFloat, Field(gt=0)]


class Identity(FrozenModel):
    """Predictions as they are."""

    kind: Literal["none"] = "none"

    def apply(self, p: Floats) -> Values:
        """Return `p` as float64."""
        return p.astype(np.float64)


class Platt(FrozenModel):
    """σ(slope·logit(p) + intercept) for probabilities `p`."""

    kind: Literal["platt"] = "platt"
    slope: _Slope
    intercept: FiniteFloat

    def apply(self, p: Floats) -> Values:
        """Return the calibrated probabilities."""
        return np.asarray(expit(self.slope * _logits(p) + self.intercept))


class Line(FrozenModel):
    """slope·p + intercept in the unit of the label, moved into [low, high] where they are set."""

    kind: Literal["line"] = "line"
    slope: _Slope
    intercept: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None

    def apply(self, p: Floats) -> Values:
        """Return the calibrated values."""
        return _clipped(self.slope * p.astype(np.float64) + self.intercept, self.low, self.high)


class Isotonic(FrozenModel):
    """The polygon through the points (x, y), level before the first and behind the last."""

    kind: Literal["isotonic"] = "isotonic"
    x: tuple[FiniteFloat, ...] = Field(min_length=1)
    y: tuple[FiniteFloat, ...]

    @model_validator(mode="after")
    def _rising(self) -> Self:
        x, y = np.array(self.x), np.array(self.y)
        if len(x) != len(y) or bool((np.diff(x) <= 0).any() or (np.diff(y) < 0).any()):
            raise ValueError("x must rise and y must not fall, both of one length")
        return self

    def apply(self, p: Floats) -> Values:
        """Return the calibrated predictions."""
        return np.interp(p.astype(np.float64), self.x, self.y)


Map = Annotated[Identity | Platt | Line | Isotonic, Field(discriminator="kind")]


def prior_corrected(p: Floats, kept: float) -> Values:
    """Return probabilities of rows as they come, from a model that saw fewer negatives.

    p / (p + (1 - p) / kept): He et al. 2014, "Practical Lessons from Predicting Clicks on Ads at
    Facebook", section 6.3.

    >>> prior_corrected(np.array([0.0, 0.5, 1.0]), 0.25).tolist()
    [0.0, 0.2, 1.0]

    Args:
        p: predicted probabilities `[B]` in [0, 1].
        kept: share of the negatives in the training rows, in (0, 1]; positives were all kept.

    Raises:
        DataError: `kept` is outside (0, 1], or a prediction is no probability.

    """
    if not 0 < kept <= 1:
        raise DataError(f"kept: expected the share of negatives kept, in (0, 1], got {kept}")
    p = p.astype(np.float64)
    check_predictions("binary", p, "prior correction")
    return p / (p + (1.0 - p) / kept)


def check_predictions(kind: HeadKind, p: Floats, where: str) -> None:
    """Check that predictions are finite, and probabilities if the task is binary.

    Raises:
        DataError: one is not; the message starts with `where`.

    """
    wrong = ~np.isfinite(p) if kind != "binary" else ~((p >= 0) & (p <= 1))
    rule = "a finite prediction" if kind != "binary" else "a probability in [0, 1], not a logit"
    refuse(wrong, p, f"{where}: expected {rule}")


@dataclass(frozen=True)
class Sample:
    """Labels `y` `[B]`, NaN where missing, and predictions `p` `[B]` of some rows of a task."""

    kind: HeadKind
    y: Values
    p: Values

    def labelled(self, rows: NDArray[Any] | slice = _ALL) -> Sample:
        """Return those of `rows` that have a label."""
        y, p = self.y[rows], self.p[rows]
        known = ~np.isnan(y)
        return Sample(self.kind, y[known], p[known])

    def too_few(self) -> str:
        """Return what there is too little of for a map, or an empty string; all have labels."""
        if len(self.y) < MIN_ROWS:
            return f"{len(self.y):,} labelled rows, fewer than {MIN_ROWS}"
        rarer = min(int(np.sum(self.y == label)) for label in (0, 1))
        if self.kind == "binary" and rarer < MIN_CLASS_ROWS:
            return f"{rarer} rows of its rarer class, fewer than {MIN_CLASS_ROWS}"
        return ""


def fit_calibration_map(
    method: Method, kind: HeadKind, y: Values, p: Values, limits: Range | None = None
) -> Platt | Line | Isotonic | Identity | None:
    """Return the map of one method; None where the labels do not rise with the predictions.

    Such a map would turn the order of the rows round, or give all of them one value. Where the
    predictions are one value only, there is no slope to find: `platt` then moves them to the
    rate or mean of the labels with a slope of 1.

    Args:
        method: `platt` is a line for regressions and ratings.
        kind: of the task.
        y: labels `[B]`, at least one, no NaN; 0 and 1 for a binary task.
        p: predictions `[B]`, finite; probabilities for a binary task.
        limits: (low, high) of a rating, which its predictions do not leave.

    """
    if method == "none":
        return Identity()
    if method == "isotonic":
        return _isotonic(kind, y, p)
    return _platt(y, p) if kind == "binary" else _line(y, p, limits)


def _platt(y: Values, p: Values) -> Platt | None:
    """Platt 1999, "Probabilistic Outputs for Support Vector Machines", with his targets."""
    positives = float(y.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2)
    x, t = _logits(p), np.where(y == 1, high, low)
    if np.ptp(x) <= _LEVEL:
        return Platt(slope=1.0, intercept=float(logit(t.mean()) - x.mean()))
    slope, intercept = _most_likely(x, t)
    return Platt(slope=slope, intercept=intercept) if slope > 0 else None


def _most_likely(x: Values, t: Values) -> tuple[float, float]:
    """Return (a, b) with the least cross-entropy of σ(a·x + b) against targets `t` in (0, 1)."""
    mean, deviation = float(x.mean()), float(x.std())
    inputs = np.stack([(x - mean) / deviation, np.ones_like(x)])  # [2, B]

    def loss_and_gradient(w: Values) -> tuple[float, Values]:
        z = w @ inputs
        return float(np.mean(np.logaddexp(0.0, z) - t * z)), inputs @ (expit(z) - t) / len(t)

    def hessian(w: Values) -> Values:
        s = expit(w @ inputs)
        return (inputs * (s * (1.0 - s))) @ inputs.T / len(t)

    start, options = np.array([0.0, logit(t.mean())]), {"gtol": 1e-9, "maxiter": 100}
    from scipy.optimize import minimize  # noqa: PLC0415 - slow to import

    found = minimize(
        loss_and_gradient, start, jac=True, hess=hessian, method="trust-exact", options=options
    )
    slope = float(found.x[0]) / deviation
    return slope, float(found.x[1]) - slope * mean


def _line(y: Values, p: Values, limits: Range | None) -> Line | None:
    """Return the least-squares line of `y` on `p`."""
    low, high = limits or (None, None)
    slope, middle = 1.0, p - p.mean()
    if np.ptp(p) > _LEVEL * np.abs(p).max():  # in whatever unit
        slope = float(middle @ (y - y.mean()) / (middle @ middle))
    if slope <= 0:
        return None
    return Line(slope=slope, intercept=float(y.mean() - slope * p.mean()), low=low, high=high)


def _isotonic(kind: HeadKind, y: Values, p: Values) -> Isotonic | None:
    """Zadrozny & Elkan 2002, "Transforming Classifier Scores into Accurate Probabilities".

    The probabilities of a binary task stay in [1 / (B + 2), 1 - 1 / (B + 2)]: a bin without a
    positive does not prove that there is none, and a wrong certainty would have an
    infinite log loss.
    """
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - slow to import

    fitted = IsotonicRegression(out_of_bounds="clip").fit(p, y)
    x, level = np.asarray(fitted.X_thresholds_), np.asarray(fitted.y_thresholds_)
    if len(x) > 1 and level[0] == level[-1]:
        return None
    if kind == "binary":
        margin = 1.0 / (len(y) + 2)
        level = np.clip(level, margin, 1.0 - margin)
    return Isotonic(x=tuple(x.tolist()), y=tuple(level.tolist()))


def _logits(p: Floats) -> Values:
    return np.asarray(logit(np.clip(p.astype(np.float64), _SURE, 1.0 - _SURE)))


def _clipped(values: Values, low: float | None, high: float | None) -> Values:
    return values if low is None and high is None else np.clip(values, low, high)
