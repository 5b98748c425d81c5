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
    counted_instants,
    formatted_instants,
    is_temporal,
    iso_instants,
    steps_per_second,
    temporal_instants,
)

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
            raise ValueError("format: numbers that only order the rows are not times")
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
        unit = None if self.format is None else UNITS[self.format]
        counted = counted_instants(raw if text is None else text, unit)
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
        unit = SECOND // steps_per_second(cell) if self.format is None else UNITS[self.format]
        return since // timedelta(microseconds=1) * 1_000 // unit


def without_blanks(raw: pl.Series) -> pl.Series:
    """Return cells with NaN and blank text, which are missing times, as null."""
    if raw.dtype.is_float():
        return raw.fill_nan(None)
    text = raw.cast(pl.String) if isinstance(raw.dtype, pl.Categorical | pl.Enum) else raw
    if text.dtype == pl.String:
        return text.set(text.str.strip_chars() == "", None)
    return raw
