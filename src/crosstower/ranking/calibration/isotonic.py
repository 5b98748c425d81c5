"""Isotonic calibration: the polygon of the best rising step function. No torch."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.tasks import HeadKind
from crosstower.values.arrays import AnyFloats, Floats


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

    def apply(self, p: AnyFloats) -> Floats:
        """Return the calibrated predictions."""
        return np.interp(p.astype(np.float64), self.x, self.y)


def fit_isotonic(kind: HeadKind, y: Floats, p: Floats) -> Isotonic | None:
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
