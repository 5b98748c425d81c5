"""Maps from raw to calibrated predictions of one group of rows, and how each is fitted. No torch.

Predictions `p` and labels `y` are arrays `[B]`. Every map rises or stays level, so calibration
never turns the order of two rows round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from crosstower.errors import DataError
from crosstower.evaluation.metrics.values import refuse
from crosstower.ranking.calibration.isotonic import Isotonic, fit_isotonic
from crosstower.ranking.calibration.platt import Line, Platt, Range, fit_line, fit_platt
from crosstower.recipe.calibration import Method
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.tasks import HeadKind
from crosstower.values.arrays import AnyFloats, Floats

MIN_ROWS = 200
"""A type with fewer labelled rows has no map of its own."""
MIN_CLASS_ROWS = 10
"""Nor has one of a binary task with fewer rows of either class."""
_ALL = slice(None)


class Identity(FrozenModel):
    """Predictions as they are."""

    kind: Literal["none"] = "none"

    def apply(self, p: AnyFloats) -> Floats:
        """Return `p` as float64."""
        return p.astype(np.float64)


Map = Annotated[Identity | Platt | Line | Isotonic, Field(discriminator="kind")]


def prior_corrected(p: AnyFloats, kept: float) -> Floats:
    """Return probabilities of rows as they come, from a model that saw fewer negatives.

    p / (p + (1 - p) / kept): He et al. 2014, "Practical Lessons from Predicting Clicks on Ads at
    Facebook", section 6.3.

    >>> prior_corrected(np.array([0.0, 0.5, 1.0]), 0.25).tolist()
    [0.0, 0.2, 1.0]

    Args:
        p: predicted probabilities `[B]` in [0, 1].
        kept: share of the negatives in the training rows, in (0, 1]; positives were all kept.

    Raises:
        DataError: `kept` is outside (0, 1], or a prediction is not a probability.

    """
    if not 0 < kept <= 1:
        raise DataError(f"kept: expected the share of negatives kept, in (0, 1], got {kept}")
    p = p.astype(np.float64)
    check_predictions("binary", p, "prior correction")
    return p / (p + (1.0 - p) / kept)


def check_predictions(kind: HeadKind, p: AnyFloats, where: str) -> None:
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
    y: Floats
    p: Floats

    def labelled(self, rows: NDArray[Any] | slice = _ALL) -> Sample:
        """Return those of `rows` that have a label."""
        y, p = self.y[rows], self.p[rows]
        known = ~np.isnan(y)
        return Sample(self.kind, y[known], p[known])

    def too_few(self) -> str:
        """Return why labelled rows are too few for a map; an empty string if they are enough."""
        if len(self.y) < MIN_ROWS:
            return f"{len(self.y):,} labelled rows, fewer than {MIN_ROWS}"
        rarer = min(int(np.sum(self.y == label)) for label in (0, 1))
        if self.kind == "binary" and rarer < MIN_CLASS_ROWS:
            return f"{rarer} rows of its rarer class, fewer than {MIN_CLASS_ROWS}"
        return ""


def fit_calibration_map(
    method: Method, kind: HeadKind, y: Floats, p: Floats, limits: Range | None = None
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
        return fit_isotonic(kind, y, p)
    return fit_platt(y, p) if kind == "binary" else fit_line(y, p, limits)
