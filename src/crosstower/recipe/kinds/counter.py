"""A counter: earlier events with the keys of a row, as a number or as a smoothed ratio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from crosstower.recipe.event_count import EventCount
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.kinds.kind import Kind, Reading
from crosstower.recipe.kinds.learner import Learner
from crosstower.recipe.kinds.numeric import Numeric
from crosstower.recipe.kinds.registry import register_column
from crosstower.recipe.kinds.scaled_number import NumberLearner, QuantileRanked, Standardised
from crosstower.recipe.own_columns import part_name
from crosstower.values.arrays import Floats
from crosstower.values.columns import Cells, floats_of, none_bad
from crosstower.values.durations import Duration, duration_text
from crosstower.values.instants import DAY, SECOND
from crosstower.values.moments import Moments, spread

_COUNT, _PER = "count", "per"
_LONGEST = 36_500 * DAY


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1)]
Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(_several, json_schema_input_type=Name | tuple[Name, ...]),
    Field(min_length=1),
]
"""One name or several."""


class ScaledCount(FrozenModel):
    """The scale of a counter and, for a ratio, its rate over the training rows."""

    number: Annotated[Standardised | QuantileRanked, Field(discriminator="kind")]
    rate: float | None = None
    prior: float = 0.0

    def numbers(self, counts: Floats) -> Floats:
        """Return the input of a model `[B, 1]` for counts `[B, 1]`, or `[B, 2]` of a ratio.

        A ratio is (count + prior · rate) / (count_per + prior).
        """
        x = counts[:, 0]
        if self.rate is not None:
            x = (x + self.prior * self.rate) / (counts[:, 1] + self.prior)
        return self.number.scale(x)[:, None]


@register_column("counter")
class Counter(Kind):
    """Number of earlier events with the keys of a row, such as clicks on the item in 7 days.

    Events come from the log that `data.events` names. For a row at time t they count if they are
    of type `event`, have the values of the row in the columns `by`, and happened before t, but not
    longer than `window` ago. With `per` the number is the ratio to the events of that type, such
    as clicks per impression: (count + prior · rate) / (count_per + prior), where the rate is the
    ratio of the sums over the training rows. A row that lacks a key has no events.

    >>> Counter(event="click", per="impression", by="item_id", window="7d").prior
    20.0
    """

    State: ClassVar[Any] = ScaledCount

    kind: Literal["counter"] = "counter"
    event: Names = Field(description="Type of the events that count, or several types.")
    per: Names | None = Field(
        default=None, description="Type of the events to divide by, such as impression."
    )
    by: Names = Field(description="Data columns whose values a row shares with its events.")
    window: Duration = Field(description="Time that events count: seconds, or such as 12h or 7d.")
    delay: Duration | None = Field(
        default=None, description="Time before an event counts, such as 5m (default: 0)."
    )
    prior: float = Field(
        default=20.0,
        gt=0,
        description="Weight of the overall rate in a ratio, in events of type `per`.",
    )
    transform: Literal["log1p", "standardise", "quantile", "none"] | None = Field(
        default=None,
        description="Scaling, as of a numeric column; standardise or none for a ratio (default:"
        " log1p for a number, standardise for a ratio).",
    )

    @model_validator(mode="after")
    def _consistent_options(self) -> Self:
        if self.per is None and "prior" in self.model_fields_set:
            raise ValueError("prior: allowed only with per, as it smooths a ratio")
        if self.per is not None and self.transform in ("log1p", "quantile"):
            raise ValueError(
                f"transform: expected standardise or none for a ratio, got '{self.transform}'"
            )
        if not 1 <= self.window <= _LONGEST:
            raise ValueError(
                f"window: expected a duration from 1s to {duration_text(_LONGEST)}, got"
                f" {duration_text(self.window)}"
            )
        if self.delay is not None and self.delay >= self.window:
            raise ValueError(
                f"delay: expected less than the window of {duration_text(self.window)}, got"
                f" {duration_text(self.delay)}"
            )
        return self

    def check(self, name: str, columns: Mapping[str, Kind]) -> None:
        """Raise ValueError if a name is repeated."""
        for key, names in (("event", self.event), ("per", self.per or ()), ("by", self.by)):
            twice = next((one for one in names if names.count(one) > 1), None)
            if twice is not None:
                raise ValueError(f"column '{name}': {key} repeats '{twice}'; name it once")

    def counts(self) -> tuple[EventCount, ...]:
        """Return the count, and that of the events to divide by."""
        window, delay = round(self.window * SECOND), round((self.delay or 0) * SECOND)
        types = [self.event] if self.per is None else [self.event, self.per]
        return tuple(EventCount(tuple(sorted(t)), self.by, window, delay) for t in types)

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the columns of the key, and those of the counts."""
        return (*self.by, *(count.column for count in self.counts()))

    def readings(self, name: str) -> list[Reading]:
        """Return how the counts are read; a ratio has both counts in one column."""
        columns = [count.column for count in self.counts()]
        if self.per is None:
            return [Reading(name, columns[0], _cells)]
        parts = [Reading(part_name(name, i), column, _cells) for i, column in enumerate(columns)]
        return [*parts, Reading(name, name, _pairs, tuple(part.name for part in parts))]

    def learner(self) -> Learner:
        """Return the learner of the scale, and of the rate of a ratio."""
        transform = self.transform or ("log1p" if self.per is None else "standardise")
        if self.per is None:
            return _CountLearner(NumberLearner(Numeric(transform=transform)))
        return _RatioLearner(self.prior, scaled=transform == "standardise")

    def inputs(self, name: str, state: ScaledCount) -> tuple[str, ...]:
        """Return one number."""
        return (name,)

    def coder(self, state: ScaledCount) -> Callable[[pl.Series], Floats]:
        """Return the coder that scales counts, or computes smoothed ratios."""
        return lambda values: state.numbers(_counts(values))

    def count_coder(self, state: ScaledCount) -> Callable[[Floats], Floats]:
        """Return the coder that scales counts, or computes smoothed ratios."""
        return state.numbers


def _cells(raw: pl.Series) -> Cells:
    expected, advice = "a time, from which events are counted", "fill it in"
    return Cells(raw.cast(pl.Float64), raw.is_null(), expected, advice)


def _pairs(count: pl.Series, per: pl.Series) -> Cells:
    pairs = pl.DataFrame([count.alias(_COUNT), per.alias(_PER)]).to_struct()
    return Cells(pairs, none_bad(len(pairs)), "two counts", "repair them")


def _counts(values: pl.Series) -> Floats:
    """Return counts `[B, 1]`, or `[B, 2]` of pairs."""
    columns = values.struct.unnest().get_columns() if values.dtype == pl.Struct else [values]
    return np.stack([floats_of(column) for column in columns], axis=1)


@dataclass
class _CountLearner:
    """Learns the scale of a number of events."""

    number: NumberLearner

    def memory(self) -> dict[str, Any]:
        return self.number.memory()

    def recall(self, memory: dict[str, Any] | None, state: ScaledCount) -> None:
        self.number.recall(memory, state.number)

    def add(self, values: pl.Series) -> None:
        self.number.add(values)

    def add_rows(self, values: pl.Series, rows: NDArray[np.int64]) -> None:
        self.number.add_rows(values, rows)

    def merge(self, other: _CountLearner) -> None:
        self.number.merge(other.number)

    def finish(self) -> ScaledCount:
        return ScaledCount.model_validate({"number": self.number.finish()})


@dataclass
class _RatioLearner:
    """Learns the rate and the scale of a ratio, which depends on the rate, in one pass.

    The ratio is a + rate · b with a = count / (per + prior) and b = prior / (per + prior), so its
    moments follow from those of a, b and a + b.
    """

    prior: float
    scaled: bool
    count: float = 0.0
    per: float = 0.0
    a: Moments = field(default_factory=Moments)
    b: Moments = field(default_factory=Moments)
    both: Moments = field(default_factory=Moments)

    def memory(self) -> dict[str, Any]:
        moments = {name: getattr(self, name).plain() for name in ("a", "b", "both")}
        return {"count": self.count, "per": self.per, **moments}

    def recall(self, memory: dict[str, Any] | None, state: ScaledCount) -> None:
        if memory is None:
            return
        self.count, self.per = memory["count"], memory["per"]
        self.a, self.b, self.both = (Moments.of(**memory[name]) for name in ("a", "b", "both"))

    def add(self, values: pl.Series) -> None:
        count, per = _counts(values).T
        self.count += float(count.sum())
        self.per += float(per.sum())
        a, b = count / (per + self.prior), self.prior / (per + self.prior)
        for moments, x in ((self.a, a), (self.b, b), (self.both, a + b)):
            moments.add(x)

    def merge(self, other: _RatioLearner) -> None:
        self.count += other.count
        self.per += other.per
        self.a.merge(other.a)
        self.b.merge(other.b)
        self.both.merge(other.both)

    def finish(self) -> ScaledCount:
        rate = self.count / self.per if self.per else 0.0
        number = Standardised(mean=0.0, sd=1.0)
        if self.scaled:
            mean = self.a.mean + rate * self.b.mean
            squares = (1 - rate) * self.a.squares + rate * self.both.squares
            squares = max(squares + (rate * rate - rate) * self.b.squares, 0.0)
            sd = spread(self.a.count, mean, squares)
            number = Standardised(mean=mean, sd=sd, clip=Numeric().clip)
        return ScaledCount(number=number, rate=rate, prior=self.prior)
