"""A calendar column: a part of a time, such as the hour of the day, as a category."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import Field, model_validator

from crosstower.recipe.kinds.categorical import Categorical
from crosstower.recipe.kinds.registry import register_column
from crosstower.recipe.times import ORDER, UNITS, TimeFormat
from crosstower.values.codes import Table
from crosstower.values.columns import Cells
from crosstower.values.instants import (
    SECOND,
    Instants,
    formatted_instants,
    is_temporal,
    iso_instants,
    temporal_instants,
)
from crosstower.values.numerals import numerals_of

Part = Literal["hour", "hour_of_week", "weekday", "day", "month"]

_SECONDS = 100_000_000_000
"""Smaller numbers, without their sign, count seconds; those below a thousand times as much count
milliseconds, and so on. So numbers of each unit are read from 1973 to 5138."""


@register_column("calendar")
class Calendar(Categorical):
    """A part of a time, read in a time zone: people book on weekends and order lunch at noon.

    | `part` | values |
    |---|---|
    | `hour` | 0 to 23 |
    | `hour_of_week` | 0 (Monday, midnight) to 167 |
    | `weekday` | 1 (Monday) to 7 |
    | `day` | of the month, 1 to 31 |
    | `month` | 1 to 12 |

    Times are dates, times, ISO 8601 text, or numbers since 1970-01-01 UTC, whose unit follows from
    their size. If the column is the time of the rows, a request without it has its own time.

    >>> times = pl.Series(["2026-11-30T23:30:00Z", "2026-12-05"])
    >>> Calendar(part="hour", timezone="Europe/Berlin").clean(times).to_list()
    [0, 0]
    >>> Calendar(part="weekday").clean(times).to_list()
    [1, 6]

    Args:
        part: of the time.
        format: of numbers or text, if they are written otherwise.
        timezone: zone in which the part is read.

    Raises:
        RecipeError: an argument is wrong; one line per wrong argument.

    """

    kind: Literal["calendar"] = "calendar"  # pyright: ignore[reportIncompatibleVariableOverride]
    part: Part = Field(description="hour, hour_of_week, weekday, day or month.")
    format: str | None = Field(
        default=None,
        description="s, ms, us or ns for numbers since 1970-01-01 UTC, or a strftime pattern"
        " (default: ISO 8601, or numbers whose unit follows from their size).",
    )
    timezone: str | None = Field(
        default=None,
        description="Zone in which the part is read, and zone of times without one, such as"
        " Europe/Berlin (default: UTC).",
    )
    expected: ClassVar[str] = "a time"

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.format == ORDER:
            raise ValueError("format: numbers that only order the rows have no calendar")
        TimeFormat(format=self.format, timezone=self.timezone)
        return self

    def row_times(self, name: str) -> tuple[str, ...]:
        """Return the data column of the time."""
        return self.sources(name)

    def clean(self, raw: pl.Series) -> pl.Series:
        """Return the part of each time; null where a cell is none."""
        utc = self._instants(raw).nanoseconds().cast(pl.Datetime("ns", "UTC"))
        local = utc.dt.convert_time_zone(self.timezone or "UTC").dt
        if self.part == "hour_of_week":
            return (local.weekday().cast(pl.Int64) - 1) * 24 + local.hour().cast(pl.Int64)
        parts = {"hour": local.hour, "weekday": local.weekday, "day": local.day}
        return parts.get(self.part, local.month)().cast(pl.Int64)

    def value_coder(self, state: Table) -> Callable[[Any], int | None]:
        """Return what looks up the part of one time of Python, such as that of a request."""
        zone = ZoneInfo(self.timezone or "UTC")

        def code_of(value: Any) -> int | None:
            if type(value) is not datetime or value.tzinfo is None:
                return None  # the way of files reads it
            return state.code_of(_part(value.astimezone(zone), self.part))

        return code_of

    def read(self, raw: pl.Series, name: str, read: Callable[[pl.Series], Cells]) -> Cells:
        """Return what `read` gives for the parts; NaN and blank text are missing times."""
        if raw.dtype.is_float():
            raw = raw.fill_nan(None)
        elif raw.dtype == pl.String:
            raw = raw.set(raw.str.strip_chars() == "", None)
        return super().read(raw, name, read)

    def _instants(self, raw: pl.Series) -> Instants:
        """Return the moments of cells, each by itself."""
        if is_temporal(raw.dtype):
            return temporal_instants(raw).in_zone(self.timezone)
        text = None if raw.dtype.is_numeric() else raw.cast(pl.String).str.strip_chars()
        if self.format is not None and self.format not in UNITS:
            text = raw.cast(pl.String) if text is None else text
            return formatted_instants(text, self.format).in_zone(self.timezone)
        counted = _counted(raw if text is None else text, self.format)
        if text is None or self.format is not None:
            return counted
        written = iso_instants(text).in_zone(self.timezone)
        number = counted.seconds.is_not_null()
        return Instants(
            counted.seconds.zip_with(number, written.seconds),
            counted.nanos.zip_with(number, written.nanos),
            number,
        )


def _counted(cells: pl.Series, unit: str | None) -> Instants:
    """Return the moments of numbers since 1970, to the second; null where a cell is no number."""
    whole = pl.lit(numerals_of(cells).whole)
    if unit is not None:
        seconds = whole // (SECOND // UNITS[unit])
    else:
        size, found = whole.abs(), pl.when(whole.abs() < _SECONDS).then(whole)
        for thousands in (10**3, 10**6):
            found = found.when(size < _SECONDS * thousands).then(whole // thousands)
        seconds = found.otherwise(whole // SECOND)
    rows = len(cells)
    zeros = pl.zeros(rows, dtype=pl.Int64, eager=True)
    zoned = pl.repeat(True, rows, dtype=pl.Boolean, eager=True)
    return Instants(pl.select(seconds).to_series(), zeros, zoned)


def _part(time: datetime, part: Part) -> int:
    """Return the part of a time, as `clean` does."""
    if part == "hour_of_week":
        return time.weekday() * 24 + time.hour
    if part == "weekday":
        return time.isoweekday()
    return {"hour": time.hour, "day": time.day, "month": time.month}[part]


def present_minute() -> datetime:
    """Return the present minute, for a query that gives no time."""
    return datetime.now(UTC).replace(second=0, microsecond=0)
