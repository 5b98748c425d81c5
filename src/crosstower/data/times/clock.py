"""A clock reads one column as time, by one rule for all of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from crosstower.data.times.forms import split_forms
from crosstower.errors import DataError
from crosstower.recipe.times import ORDER, UNIT_WORDS, UNITS, USUAL, TimeFormat
from crosstower.values.instants import formatted_instants, iso_instants
from crosstower.values.numerals import BILLION

Moment = str | int | float | date | datetime


@dataclass(frozen=True)
class Clock:
    """Reads a column as Int64 that compares as time, the same for every chunk and file.

    `unit` is None for dates and times: nanoseconds since 1970-01-01 UTC. Numbers in s, ms, us or
    ns become the same; numbers of unit 'order' stay themselves, times 10^9 with `fractions`.
    """

    column: str
    how: TimeFormat = USUAL
    unit: str | None = None
    fractions: bool = False

    def read(self, series: pl.Series) -> pl.Series:
        """Return Int64 times; null where a value is missing or none of this clock's."""
        parts = split_forms(series, self.how)
        if self.unit is None or self.how.format in UNITS:
            moments = parts.instants.nanoseconds()
            if self.unit is None:
                return moments
            return moments.fill_null(parts.numerals.times(UNITS[self.unit]))
        return parts.numerals.times(self._factor)

    @property
    def _factor(self) -> int:
        if self.unit in UNITS:
            return UNITS[self.unit]
        return BILLION if self.fractions else 1

    @property
    def words(self) -> str:
        """How the column is read, in a few words."""
        if self.how.pattern is not None:
            read = f"text in the format {self.how.pattern}"
        elif self.unit is None:
            read = "dates and times"
        else:
            read = "numbers in order" if self.unit == ORDER else UNIT_WORDS[self.unit]
        zone = f", {self.how.timezone}" if self.how.timezone and self.unit is None else ""
        return f"{self.column} read as {read}{zone}"

    def moment(self, given: Moment, *, key: str) -> int:
        """Return one given time, such as the start of the test rows, as `read` returns it.

        Raises:
            DataError: it is not a time, or the column holds numbers that are not times.

        """
        numeric = isinstance(given, int | float)
        text = str(given) if numeric or isinstance(given, str) else given.isoformat()
        series = pl.Series(self.column, [text])
        if numeric or self.unit == ORDER:
            found = self.read(series) if self.unit is not None else pl.Series([None])
        else:
            instants = iso_instants(series)
            if self.how.pattern is not None and instants.seconds[0] is None:
                instants = formatted_instants(series, self.how.pattern)
            found = instants.in_zone(self.how.timezone).nanoseconds()
        if found[0] is None:
            raise DataError(f"{key}: expected {self._expected()}, got {text!r}")
        return int(found[0])

    def _expected(self) -> str:
        if self.unit == ORDER:
            return (
                f"a number, since column '{self.column}' holds numbers that only order its rows"
                f" (set data.times.{self.column}.format to their unit or pattern if they are times)"
            )
        return f"an ISO 8601 time such as 2024-03-01, to compare with column '{self.column}'"
