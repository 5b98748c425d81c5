"""Cells that are read as times: typed ones, text, and numbers since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import Field, model_validator

from crosstower.errors import DataError
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.times import ORDER, UNITS, TimeFormat
from crosstower.values.columns import text_of
from crosstower.values.instants import (
    SECOND,
    Instants,
    formatted_instants,
    is_temporal,
    iso_instants,
    temporal_instants,
)
from crosstower.values.numerals import numerals_of

_SECONDS = 100_000_000_000
"""Smaller numbers, without their sign, count seconds; those below a thousand times as much count
milliseconds, and so on. So numbers of each unit are read from 1973 to 5138."""
_YEARS = (1_000, 3_000)
_NO_TIMES = (pl.Duration, pl.Time, pl.Binary, pl.Boolean)


FORMAT = (
    "s, ms, us or ns for numbers since 1970-01-01 UTC, or a strftime pattern (default: ISO 8601, or"
    " numbers whose unit follows from their size)."
)
TIMEZONE = "Zone of times without one, such as Europe/Berlin (default: UTC)."


class CellTimes(FrozenModel):
    """How cells are read as times."""

    format: str | None = Field(default=None, description=FORMAT)
    timezone: str | None = Field(default=None, description=TIMEZONE)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.format == ORDER:
            raise ValueError("format: numbers that only order the rows are no times")
        TimeFormat(format=self.format, timezone=self.timezone)
        return self

    def instants(self, raw: pl.Series) -> Instants:
        """Return the moments of cells, each by itself; null where a cell is none.

        Raises:
            DataError: the column has a type that no time has, such as lists.

        """
        if is_temporal(raw.dtype):
            return temporal_instants(raw).in_zone(self.timezone)
        if raw.dtype.is_nested() or isinstance(raw.dtype, _NO_TIMES):
            raise DataError(
                f"column '{raw.name}': expected dates, times, text or numbers since 1970, got"
                f" {raw.dtype}"
            )
        text = None if raw.dtype.is_numeric() else raw.cast(pl.String).str.strip_chars()
        if self.format is not None and self.format not in UNITS:
            text = text_of(raw) if text is None else text
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

    def like(self, moment: datetime, cell: Any) -> Any:
        """Return a moment in the form of a cell: a number, text or typed.

        >>> noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
        >>> CellTimes().like(noon, 1767607200000)
        1767614400000
        >>> CellTimes(format="%d.%m.%Y").like(noon, "1.2.2026")
        '05.01.2026'
        """
        if self.format is not None and self.format not in UNITS:
            local = moment.astimezone(ZoneInfo(self.timezone or "UTC"))
            return local.strftime(self.format) if isinstance(cell, str) else moment
        if isinstance(cell, str):
            number = cell.strip().removeprefix("-").isdigit()
            return str(self.like(moment, int(cell))) if number else moment.isoformat()
        if not isinstance(cell, int | float):
            return moment
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return since // timedelta(microseconds=1) * 1_000 // _unit(cell, self.format)


def _unit(cell: float, written: str | None) -> int:
    """Return the nanoseconds of one step of numbers such as a cell."""
    if written is not None:
        return UNITS[written]
    limits = [(_SECONDS * 1_000**power, unit) for power, unit in enumerate(UNITS.values())]
    return next((unit for limit, unit in limits if abs(cell) < limit), UNITS["ns"])


def without_blanks(raw: pl.Series) -> pl.Series:
    """Return cells with NaN and blank text, which are missing times, as null."""
    if raw.dtype.is_float():
        return raw.fill_nan(None)
    text = raw.cast(pl.String) if isinstance(raw.dtype, pl.Categorical | pl.Enum) else raw
    if text.dtype == pl.String:
        return text.set(text.str.strip_chars() == "", None)
    return raw


def _counted(cells: pl.Series, unit: str | None) -> Instants:
    """Return the moments of numbers since 1970; null where a cell is no number.

    Without a unit, a number that may be a year is none.
    """
    numbers = numerals_of(cells)
    whole, size = numbers.whole, numbers.whole.abs()
    if unit is not None:
        parts = pl.lit(SECOND // UNITS[unit])
    else:
        whole = whole.set(size.is_between(*_YEARS).fill_null(value=False), None)
        parts = pl.when(size < _SECONDS).then(1)
        for thousands in (10**3, 10**6):
            parts = parts.when(size < _SECONDS * thousands).then(thousands)
        parts = parts.otherwise(SECOND)
    steps = pl.select(pl.repeat(0, len(cells), dtype=pl.Int64) + parts).to_series()
    seconds = whole // steps
    billionths = (whole - seconds * steps) * SECOND + numbers.billionths
    rows = len(cells)
    zoned = pl.repeat(True, rows, dtype=pl.Boolean, eager=True)
    return Instants(seconds, (billionths // steps).fill_null(0), zoned)
