"""An entry of `data.times` in a recipe: the format of a time column."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import polars as pl
from pydantic import Field, field_validator, model_validator

from crosstower.recipe.frozen import FrozenModel
from crosstower.values.instants import DAY, SECOND, formatted_instants

UNITS = {"s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Nanoseconds per unit of numbers since 1970-01-01 UTC."""
UNIT_WORDS = {
    "s": "seconds since 1970",
    "ms": "milliseconds since 1970",
    "us": "microseconds since 1970",
    "ns": "nanoseconds since 1970",
}
ORDER = "order"
_PROBE = datetime(2024, 3, 25, 13, 4, 6, tzinfo=UTC)


class TimeFormat(FrozenModel):
    """Format of the text or numbers of a time column; typed dates need none."""

    format: str | None = Field(
        default=None,
        description="s, ms, us or ns for numbers since 1970-01-01 UTC; order for numbers that only"
        " order the rows; or a strftime pattern such as '%m/%d/%Y %H:%M'. Default: ISO 8601, or"
        " numbers whose unit follows from their size.",
    )
    timezone: str | None = Field(
        default=None,
        description="Zone of times without one, such as Europe/Berlin (default: UTC).",
    )

    @model_validator(mode="before")
    @classmethod
    def _format_alone(cls, plain: Any) -> Any:
        return {"format": plain} if isinstance(plain, str) else plain

    @field_validator("format")
    @classmethod
    def _readable(cls, given: str | None) -> str | None:
        if given is None or given in UNITS or given == ORDER:
            return given
        if not _names_a_day(given):
            raise ValueError(
                f"expected s, ms, us, ns, order or a strftime pattern with year, month and day,"
                f" such as '%m/%d/%Y %H:%M:%S', got {given!r}"
            )
        return given

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, given: str | None) -> str | None:
        if given is not None and given not in available_timezones():
            raise ValueError(f"expected a zone such as UTC or Europe/Berlin, got {given!r}")
        return ZoneInfo(given).key if given is not None else None

    @property
    def pattern(self) -> str | None:
        """The strftime pattern, if the format is one."""
        return None if self.format in (*UNITS, ORDER) else self.format


USUAL = TimeFormat()
"""ISO 8601, or numbers whose unit follows from their size."""


def _names_a_day(pattern: str) -> bool:
    """Return whether a pattern restores year and month of a written time."""
    try:
        written = pl.Series([_PROBE]).dt.strftime(pattern)
        seconds = formatted_instants(written, pattern).seconds
    except pl.exceptions.PolarsError:
        return False
    month = datetime(_PROBE.year, _PROBE.month, 1, tzinfo=UTC).timestamp()
    return seconds[0] is not None and month <= seconds[0] < month + 31 * DAY
