"""Numbers of a column: standardised, logged, ranked by quantile, or cut into ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.kinds.kind import CodeField, Inputs, Kind
from crosstower.recipe.kinds.learner import Learner
from crosstower.values.arrays import Floats
from crosstower.values.codes import MISSING, RESERVED_CODES, Codes
from crosstower.values.columns import floats_of
from crosstower.values.moments import Moments, UniformSample

_QUANTILES = 256

Transform = Annotated[
    Literal["standardise", "log1p", "quantile", "bucketise", "none"],
    Field(description="standardise, log1p, quantile, bucketise or none (see `numeric`)."),
]


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


class QuantileRanked(FrozenModel):
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


FittedNumber = Annotated[Standardised | QuantileRanked | Bucketised, Field(discriminator="kind")]
"""The state of a number."""


class Number(Kind):
    """Base of column kinds with one number per row; `transform` says how it is scaled."""

    State: ClassVar[Any] = FittedNumber

    transform: Transform = "standardise"
    clip: float | None = Field(
        default=10.0,
        gt=0,
        description="Maximum absolute value after scaling, in standard deviations.",
    )
    buckets: int = Field(default=32, ge=2, description="Number of ranges of `bucketise`.")
    boundaries: tuple[float, ...] | None = Field(
        default=None, description="Upper bounds of the ranges of `bucketise`, instead of quantiles."
    )
    dim: int | None = Field(
        default=None, ge=1, description="Embedding width of a bucketised number."
    )

    @model_validator(mode="after")
    def _bucket_options(self) -> Self:
        given = self.model_fields_set & {"buckets", "boundaries", "dim"}
        if given and self.transform != "bucketise":
            raise ValueError(f"{', '.join(sorted(given))}: allowed only with transform: bucketise")
        if self.boundaries is not None and list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError("boundaries must increase, each given once")
        return self

    @property
    def has_code(self) -> bool:
        """Whether the column has one code per row: if it is bucketised."""
        return self.transform == "bucketise"

    def learner(self) -> Learner:
        """Return the learner of the scale, the quantiles or the ranges."""
        return NumberLearner(self)

    def inputs(self, name: str, state: Standardised | QuantileRanked | Bucketised) -> Inputs:
        """Return a field with one code if bucketised, else the number and its indicator."""
        if isinstance(state, Bucketised):
            return CodeField(name, state.size, name, self.dim)
        return number_names(name, state)

    def coder(
        self, state: Standardised | QuantileRanked | Bucketised
    ) -> Callable[[pl.Series], Codes | Floats]:
        """Return the coder that scales numbers, or finds their ranges."""
        if isinstance(state, Bucketised):
            return lambda values: state.encode(floats_of(values))
        return number_encoder(state)


@dataclass
class NumberLearner:
    """Learns how to scale a numeric column from its training values."""

    column: Number
    rows: int = 0
    missing: int = 0
    moments: Moments = field(default_factory=Moments)
    sample: UniformSample = field(default_factory=UniformSample)
    before: Standardised | QuantileRanked | Bucketised | None = None

    def memory(self) -> dict[str, Any]:
        """Return the moments of all rows so far."""
        return self.moments.plain()

    def recall(
        self, memory: dict[str, Any] | None, state: Standardised | QuantileRanked | Bucketised
    ) -> None:
        """Continue from earlier moments; quantiles, ranges and indicators stay."""
        self.before = state
        if memory is not None:
            count, mean, squares = (memory[name] for name in ("count", "mean", "squares"))
            self.moments = Moments.of(int(count), float(mean), float(squares))

    def add(self, values: pl.Series) -> None:
        """Add the numbers of consecutive rows; NaN and null are missing numbers."""
        self.add_rows(values, np.arange(self.rows, self.rows + len(values), dtype=np.int64))

    def add_rows(self, values: pl.Series, rows: NDArray[np.int64]) -> None:
        """Add the numbers of one chunk and of rows with these numbers."""
        x = floats_of(values)
        there = ~np.isnan(x)
        present = x[there]
        self.rows += len(x)
        self.missing += len(x) - len(present)
        if self.column.transform in ("quantile", "bucketise"):
            self.sample.add(present, rows[there])
        else:
            self.moments.add(_signed_log(present) if self.column.transform == "log1p" else present)

    def merge(self, other: NumberLearner) -> None:
        """Add the numbers of other rows."""
        self.rows += other.rows
        self.missing += other.missing
        self.moments.merge(other.moments)
        self.sample.merge(other.sample)

    def finish(self) -> Standardised | QuantileRanked | Bucketised:
        """Return the fitted transform."""
        if self.before is None:
            return self._fitted()
        if isinstance(self.before, Standardised) and self.column.transform != "none":
            return self._standardised(had_missing=self.before.had_missing)
        return self.before

    def _fitted(self) -> Standardised | QuantileRanked | Bucketised:
        if self.column.transform == "bucketise":
            return Bucketised(boundaries=self._boundaries())
        if self.column.transform == "quantile":
            return self._ranked()
        if self.column.transform == "none":
            return Standardised(mean=0.0, sd=1.0, had_missing=self.missing > 0)
        return self._standardised(had_missing=self.missing > 0)

    def _standardised(self, *, had_missing: bool) -> Standardised:
        return Standardised(
            mean=self.moments.mean,
            sd=self.moments.sd,
            log1p=self.column.transform == "log1p",
            clip=self.column.clip,
            had_missing=had_missing,
        )

    def _boundaries(self) -> tuple[float, ...]:
        if self.column.boundaries is not None:
            return self.column.boundaries
        steps = np.arange(1, self.column.buckets) / self.column.buckets
        return tuple(np.unique(_quantiles(self.sample.values, steps)).tolist())

    def _ranked(self) -> QuantileRanked:
        steps = np.linspace(0.0, 1.0, _QUANTILES + 1)
        points, inverse = np.unique(_quantiles(self.sample.values, steps), return_inverse=True)
        # A value that spans several quantiles stands at their middle.
        middle = np.bincount(inverse, weights=steps) / np.bincount(inverse)
        return QuantileRanked(
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


def number_names(name: str, state: Standardised | QuantileRanked) -> tuple[str, ...]:
    """Return the names of a number and, if training rows lacked it, of its indicator."""
    return (name, f"{name} is missing") if state.had_missing else (name,)


def number_encoder(state: Standardised | QuantileRanked) -> Callable[[pl.Series], Floats]:
    """Return the coder that scales numbers to `[B, 1]`, or `[B, 2]` with an indicator."""

    def encode(values: pl.Series) -> Floats:
        x = floats_of(values)
        scaled = state.scale(x)
        return np.stack([scaled, np.isnan(x)], axis=1) if state.had_missing else scaled[:, None]

    return encode
