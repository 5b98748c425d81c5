"""Transforms of predictions before they are summed: one fitted map per task and content type.

Maps are frozen models. Predictions `x` and results are arrays `[rows]`, computed in float64.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import logit, ndtri

from crosstower.recipe.blend import Transform
from crosstower.recipe.frozen import FrozenModel
from crosstower.values.arrays import Floats, Indices

MAX_POINTS = 10_001
"""Longest step function of a percentile: the data itself up to here, its quantiles beyond."""

_EDGE = 1e-7
_SAME, _LAST_DIGITS, _CONSTANT = 5e-6, 5e-7, 3e-6


class Scaled(FrozenModel):
    """Map (h(x) - mean) / sd, where h is the identity, the logit or the probit.

    Logit and probit clip probabilities to [1e-7, 1 - 1e-7], so that 0 and 1 stay finite. With mean
    0 and sd 1 the result is h(x). With sd 0, fitted on a constant, it is 0.
    """

    kind: Literal["identity", "logit", "probit"]
    mean: float = 0.0
    sd: float = Field(default=1.0, ge=0)

    def apply(self, x: NDArray[Any]) -> Floats:
        """Return the transformed predictions `[rows]`; logit and probit expect probabilities."""
        if self.sd == 0.0:
            return np.zeros(len(x))
        return (_plain(self.kind, x) - self.mean) / self.sd


class Percentile(FrozenModel):
    """Share of fitted predictions below x, ties counted half: (#less + #less-or-equal) / 2n.

    `points` are n actual predictions in ascending order, and the map is a step function: it is
    invariant to strictly increasing changes of a head before fitting and scoring, unless they
    create ties. Predictions tie within 5e-6 of their size or of the range of `points`, whichever is
    smaller, and within 5e-7 of their size, the precision of float32. A constant gets 0.5.
    """

    kind: Literal["percentile"] = "percentile"
    points: tuple[float, ...] = Field(min_length=1)

    def apply(self, x: NDArray[Any]) -> Floats:
        """Return the mid-rank of each prediction among the fitted ones `[rows]`, in [0, 1]."""
        points = np.asarray(self.points)
        low, high = _tied(np.asarray(x, dtype=np.float64), points)
        below = np.searchsorted(points, low, side="left")
        return (below + np.searchsorted(points, high, side="right")) / (2.0 * len(points))


FittedMap = Annotated[Scaled | Percentile, Field(discriminator="kind")]


class BlendMaps(FrozenModel):
    """Maps of one task: fitted on all rows, and per content type if the blend has `by`."""

    overall: FittedMap
    types: dict[str, FittedMap] = Field(default={})

    def apply(self, x: Floats, places: list[tuple[str | None, Indices]]) -> Floats:
        """Return the transformed predictions `[rows]`; `places` are the rows of each type."""
        if not places:
            return self.overall.apply(x)
        out = np.empty(len(x))
        for kind, rows in places:
            chosen = self.overall if kind is None else self.types[kind]
            out[rows] = chosen.apply(x[rows])
        return out


def fit_transform(
    transform: Transform, x: NDArray[Any], *, comparable: bool
) -> Scaled | Percentile:
    """Return the map fitted on predictions.

    Args:
        transform: its name.
        x: predictions `[rows]` of rows that the model was not trained on: finite, at least one,
            and probabilities for logit and probit.
        comparable: standardise identity, logit and probit after the transform, which makes them
            comparable between content types with separate maps.

    """
    if transform == "percentile":
        return Percentile(points=tuple(_quantiles(x).tolist()))
    kind = "identity" if transform == "standardise" else transform
    if transform != "standardise" and not comparable:
        return Scaled(kind=kind)
    values = _plain(kind, x)
    sd = 0.0 if _spread(np.asarray(x, dtype=np.float64)) == 0.0 else float(values.std())
    return Scaled(kind=kind, mean=float(values.mean()), sd=sd)


def _plain(kind: Literal["identity", "logit", "probit"], x: NDArray[Any]) -> Floats:
    x = np.asarray(x, dtype=np.float64)
    if kind == "identity":
        return x
    clipped = x.clip(_EDGE, 1.0 - _EDGE)
    return logit(clipped) if kind == "logit" else ndtri(clipped)


def _spread(x: Floats) -> float:
    """Return max - min, or 0 for a constant, up to the precision of float32."""
    low, high = float(x.min()), float(x.max())
    return high - low if high - low > _CONSTANT * max(abs(low), abs(high)) else 0.0


def _tied(x: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Return the lower and upper ends `[rows]` of the interval of values that tie with x.

    The last digits of a float32 prediction depend on the size of its batch, which would break ties.
    Rounding is not enough, as a rounding boundary within ties would split them. The range of the
    fitted points limits the interval for values far from 0, such as dates in seconds. Both ends
    increase with x, so no order is reversed; only 0 ties with 0.
    """
    size, spread = np.abs(x), _spread(points)
    near = _SAME * np.minimum(size, spread) if spread else _SAME * size
    gap = np.maximum(near, _LAST_DIGITS * size)
    return x - gap, x + gap


def _quantiles(x: NDArray[Any]) -> Floats:
    """Return x in ascending order, or evenly spaced quantiles if there are too many.

    Quantile q is the smallest value with a share of at least q at or below it (the inverse of the
    empirical CDF), always a value of the data.
    """
    ordered = np.sort(np.asarray(x, dtype=np.float64))
    if len(ordered) <= MAX_POINTS:
        return ordered
    steps = MAX_POINTS - 1
    places = -(-np.arange(MAX_POINTS) * len(ordered) // steps) - 1  # in whole numbers, exact
    return ordered[places.clip(0)]
