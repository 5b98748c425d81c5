"""Numbers to model inputs: standardised, logged, ranked by quantile, or cut into ranges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from crosstower.data.layout import MISSING, RESERVED_CODES
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.schema import Numeric

Floats = NDArray[np.float64]
SAMPLE_SIZE = 200_000
_QUANTILES = 256


class Standardised(FrozenModel):
    """(x − mean) / sd, after sign(x)·log(1+|x|) if `log1p`, limited to ±`clip`."""

    kind: Literal["standardised"] = "standardised"
    mean: float
    sd: float
    log1p: bool = False
    clip: float | None = None
    had_missing: bool = False

    def scale(self, x: Floats) -> Floats:
        """Return the scaled values; NaN (missing) becomes 0, the mean."""
        z = (_signed_log(x) if self.log1p else x) - self.mean
        z = z / self.sd
        if self.clip is not None:
            z = np.clip(z, -self.clip, self.clip)
        return np.nan_to_num(z, nan=0.0)


class Ranked(FrozenModel):
    """The training quantile of x in [0, 1], scaled to mean 0 and variance 1 (±√3)."""

    kind: Literal["ranked"] = "ranked"
    points: tuple[float, ...]
    quantiles: tuple[float, ...]
    had_missing: bool = False

    def scale(self, x: Floats) -> Floats:
        """Return the scaled values; NaN (missing) becomes 0, the median."""
        u = np.interp(x, self.points, self.quantiles)
        return np.nan_to_num((2.0 * u - 1.0) * np.sqrt(3.0), nan=0.0)


class Bucketised(FrozenModel):
    """The range that x falls into: codes instead of a number."""

    kind: Literal["bucketised"] = "bucketised"
    boundaries: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of codes, reserved ones included."""
        return RESERVED_CODES + len(self.boundaries) + 1

    def encode(self, x: Floats) -> NDArray[np.int32]:
        """Return the code of each number's range; NaN (missing) is `MISSING`."""
        place = np.searchsorted(np.asarray(self.boundaries, dtype=np.float64), x, side="left")
        return np.where(np.isnan(x), MISSING, place + RESERVED_CODES).astype(np.int32)


FittedNumber = Annotated[Standardised | Ranked | Bucketised, Field(discriminator="kind")]


@dataclass
class Moments:
    """Count, mean and squared deviations of a stream (Chan et al. 1979), in float64."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, x: Floats) -> None:
        """Take in finite values."""
        if len(x) == 0:
            return
        total, gap = self.count + len(x), float(x.mean()) - self.mean
        self.squares += float(((x - x.mean()) ** 2).sum())
        self.squares += gap * gap * self.count * len(x) / total
        self.mean += gap * len(x) / total
        self.count = total

    @property
    def sd(self) -> float:
        """Population standard deviation; 1 for a constant, which then scales to 0."""
        deviation = (self.squares / self.count) ** 0.5 if self.count else 0.0
        return deviation if deviation > 1e-12 * abs(self.mean) else 1.0


@dataclass
class UniformSample:
    """A uniform sample of a stream, at most `size` values, the same for the same stream."""

    size: int = SAMPLE_SIZE
    values: Floats = field(default_factory=lambda: np.empty(0))
    _priority: Floats = field(default_factory=lambda: np.empty(0))
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, x: Floats) -> None:
        """Take in values; the ones with the smallest random priorities stay."""
        self.values = np.concatenate([self.values, x])
        self._priority = np.concatenate([self._priority, self._random.random(len(x))])
        if len(self.values) > self.size:
            kept = np.argpartition(self._priority, self.size)[: self.size]
            self.values, self._priority = self.values[kept], self._priority[kept]


@dataclass
class NumberFit:
    """Learns how to scale one numeric column from its training chunks."""

    column: Numeric
    missing: int = 0
    moments: Moments = field(default_factory=Moments)
    sample: UniformSample = field(default_factory=UniformSample)

    def add(self, x: Floats) -> None:
        """Take in the numbers of one chunk; NaN is a missing number."""
        present = x[~np.isnan(x)]
        self.missing += len(x) - len(present)
        if self.column.transform in ("quantile", "bucketise"):
            self.sample.add(present)
        else:
            self.moments.add(_signed_log(present) if self.column.transform == "log1p" else present)

    def finish(self) -> Standardised | Ranked | Bucketised:
        """Return the fitted transform."""
        if self.column.transform == "bucketise":
            return Bucketised(boundaries=self._boundaries())
        if self.column.transform == "quantile":
            return self._ranked()
        if self.column.transform == "none":
            return Standardised(mean=0.0, sd=1.0, had_missing=self.missing > 0)
        return Standardised(
            mean=self.moments.mean,
            sd=self.moments.sd,
            log1p=self.column.transform == "log1p",
            clip=self.column.clip,
            had_missing=self.missing > 0,
        )

    def _boundaries(self) -> tuple[float, ...]:
        if self.column.boundaries is not None:
            return self.column.boundaries
        steps = np.arange(1, self.column.buckets) / self.column.buckets
        return tuple(np.unique(_quantiles(self.sample.values, steps)).tolist())

    def _ranked(self) -> Ranked:
        steps = np.linspace(0.0, 1.0, _QUANTILES + 1)
        points, inverse = np.unique(_quantiles(self.sample.values, steps), return_inverse=True)
        # A value that spans several quantiles stands at their middle.
        middle = np.bincount(inverse, weights=steps) / np.bincount(inverse)
        return Ranked(
            points=tuple(points.tolist()),
            quantiles=tuple(middle.tolist()),
            had_missing=self.missing > 0,
        )


def _quantiles(values: Floats, steps: Floats) -> Floats:
    if len(values) == 0:
        return np.zeros(len(steps))
    return np.quantile(values, steps, method="inverted_cdf")


def _signed_log(x: Floats) -> Floats:
    return np.sign(x) * np.log1p(np.abs(x))


def floats_of(series: pl.Series) -> Floats:
    """Return a float series as NumPy; nulls become NaN."""
    return series.fill_null(float("nan")).to_numpy().astype(np.float64)
