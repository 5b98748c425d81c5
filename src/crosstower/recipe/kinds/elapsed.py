"""An elapsed column: the time from one moment of a row to another."""

from __future__ import annotations

from functools import partial
from typing import Literal, Self

import polars as pl
from pydantic import Field, model_validator

from crosstower.recipe.kinds.cell_times import FORMAT, TIMEZONE, CellTimes, without_blanks
from crosstower.recipe.kinds.kind import Reading
from crosstower.recipe.kinds.registry import register_column
from crosstower.recipe.kinds.scaled_number import Number, Transform
from crosstower.recipe.own_columns import part_name
from crosstower.values.columns import Cells, none_bad

_MICROSECONDS = {
    "seconds": 1_000_000,
    "minutes": 60_000_000,
    "hours": 3_600_000_000,
    "days": 86_400_000_000,
}


@register_column("elapsed")
class Elapsed(Number):
    """Time from one moment to another, such as the age of an item or the nights of a stay.

    It is a number like `numeric`, negative if `end` is before `start`; a missing moment makes it
    missing. If one of the columns is the time of the rows, a request without it has its own time.

    Times are dates, times, ISO 8601 text, or numbers since 1970-01-01 UTC, whose unit follows from
    their size. A number that may be a year or a date, such as 1995 or 20260131, is refused.

    >>> Elapsed(start="check_in", end="check_out").sources("nights")
    ('check_in', 'check_out')
    """

    kind: Literal["elapsed"] = "elapsed"
    start: str = Field(min_length=1, description="Data column of the first moment.")
    end: str = Field(min_length=1, description="Data column of the second moment.")
    unit: Literal["seconds", "minutes", "hours", "days"] = Field(
        default="days", description="seconds, minutes, hours or days of 24 hours."
    )
    start_format: str | None = Field(default=None, description=f"Of start: {FORMAT}")
    end_format: str | None = Field(default=None, description=f"Of end: {FORMAT}")
    timezone: str | None = Field(default=None, description=TIMEZONE)
    transform: Transform = "log1p"

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self._times()
        return self

    def _times(self) -> tuple[CellTimes, CellTimes]:
        """Return how both columns are read."""
        start, end = (
            CellTimes(format=written, timezone=self.timezone)
            for written in (self.start_format, self.end_format)
        )
        return start, end

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the data columns of both moments."""
        return (self.start, self.end)

    def row_times(self, name: str) -> dict[str, CellTimes]:
        """Return the data columns of both moments."""
        return dict(zip(self.sources(name), self._times(), strict=True))

    def readings(self, name: str) -> list[Reading]:
        """Return how the two times are read and combined into a duration."""
        sides = zip(self.sources(name), self._times(), strict=True)
        ends = [
            Reading(part_name(name, number), source, partial(_moments, times=times))
            for number, (source, times) in enumerate(sides)
        ]
        between = partial(_between, unit=_MICROSECONDS[self.unit])
        return [*ends, Reading(name, name, between, tuple(end.name for end in ends))]


def _moments(raw: pl.Series, *, times: CellTimes) -> Cells:
    """Return microseconds since 1970, which hold all years from 1 to 9999."""
    given = without_blanks(raw)
    if given.dtype == pl.Null:
        moments = given.cast(pl.Int64)
    else:
        moments = times.instants(given).microseconds().alias(raw.name)
    bad = given.is_not_null() & moments.is_null()
    return Cells(moments, bad, "a time", "repair the cell, leave it empty if unknown")


def _between(start: pl.Series, end: pl.Series, *, unit: int) -> Cells:
    passed = (end - start).cast(pl.Float64) / unit
    return Cells(passed, none_bad(len(passed)), "a time", "repair it")
