"""Moments in UTC, from ISO 8601 text, from text of a given format, or from temporal types.

A moment is held in two parts that cannot overflow: whole seconds since 1970-01-01 UTC, and the
nanoseconds of that second. All functions work value by value, so chunks never disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from crosstower.values.numerals import numerals_of

SECOND = 1_000_000_000
"""Nanoseconds of a second."""
DAY = 86_400
"""Seconds of a day."""
_LIMIT = 2**63 // SECOND
_LARGER = (10**11, 10**14, 10**17)
"""Numbers of these sizes count milliseconds, microseconds and nanoseconds."""
_NO_COUNTS = ((1_000, 3_000), (19_000_101, 21_001_231))
"""Numbers that may be years, or dates such as 20260131."""
_DATE = "[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}"
_CLOCK = r"(?:[T ]([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
_ZONE = r" ?(Z|z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})?)?"
_ISO = rf"^({_DATE}){_CLOCK}{_ZONE}$"
_PLAIN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}$"
_ISO_ID = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"


@dataclass(frozen=True)
class Instants:
    """Moments `[R]`: `seconds` since the epoch (null: none), `nanos` of the second, `zoned`.

    `zoned` is true for values that name their zone; the others count as UTC, or as `timezone`.
    """

    seconds: pl.Series
    nanos: pl.Series
    zoned: pl.Series

    @staticmethod
    def none(rows: int) -> Instants:
        """Return the instants of values that are not times: all null."""
        nothing = pl.repeat(None, rows, dtype=pl.Int64, eager=True)
        return Instants(nothing, _zeros(rows), _flags(rows, value=False))

    def nanoseconds(self) -> pl.Series:
        """Return Int64 nanoseconds; null beyond the years 1678 to 2261."""
        fits = self.seconds.is_between(1 - _LIMIT, _LIMIT - 1).fill_null(value=False)
        seconds = self.seconds.set(~fits, None)
        return seconds * SECOND + self.nanos

    def microseconds(self) -> pl.Series:
        """Return Int64 microseconds, rounded down."""
        return self.seconds * 1_000_000 + self.nanos // 1_000

    def in_zone(self, timezone: str | None) -> Instants:
        """Return the moments with values that name no zone read as local time of `timezone`.

        An hour that a zone skips has no moment; of an hour that comes twice it is the first.
        """
        if timezone is None or self.zoned.all():
            return self
        local = (self.seconds * 1_000_000).cast(pl.Datetime("us"))
        utc = local.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
        seconds = utc.dt.epoch("s").zip_with(~self.zoned, self.seconds)
        return Instants(seconds, self.nanos, self.zoned)


def is_temporal(kind: pl.DataType) -> bool:
    """Tell whether a type holds dates or moments, in contrast to times of day and durations."""
    return isinstance(kind, pl.Date | pl.Datetime)


def temporal_instants(series: pl.Series) -> Instants:
    """Return the moments of a Date or Datetime column of any unit and zone."""
    if series.dtype == pl.Date:
        seconds = series.cast(pl.Int64) * DAY
        return Instants(seconds, _zeros(len(series)), _flags(len(series), value=False))
    unit, zone = series.dtype.time_unit, series.dtype.time_zone  # type: ignore[union-attr]
    a_second = {"ms": 1_000, "us": 1_000_000, "ns": SECOND}[unit]
    ticks = series.to_physical()
    seconds = ticks // a_second
    nanos = (ticks - seconds * a_second) * (SECOND // a_second)
    return Instants(seconds, nanos, _flags(len(series), value=zone is not None))


def iso_instants(text: pl.Series) -> Instants:
    """Return the moments of ISO 8601 text; null where it is none.

    Year, month and day stand in this order with - or / between them. A time of day, a fraction of
    a second and a zone may follow: `Z`, `UTC`, `+02:00`, `+0200` or `+02`.

    >>> iso_instants(pl.Series(["1970-01-02", "1970-01-01T01:00:00.5+01:00"])).seconds.to_list()
    [86400, 0]
    """
    if text.str.contains(_PLAIN).all():  # by far the most frequent form, and a fast one
        return formatted_instants(text.str.replace("T", " ", literal=True), "%Y-%m-%d %H:%M:%S")
    names = ["date", "hour", "minute", "second", "fraction", "zone"]
    parts = text.str.extract_groups(_ISO).struct.rename_fields(names).struct.unnest()
    hour, minute, second = (parts[n].cast(pl.Int64).fill_null(0) for n in names[1:4])
    date = parts["date"].str.replace_all("/", "-", literal=True)
    days = date.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64)
    offset = _offset(parts["zone"])
    possible = (hour < 24) & (minute < 60) & (second < 60) & offset.is_not_null()
    seconds = days * DAY + hour * 3600 + minute * 60 + second - offset.fill_null(0)
    nanos = parts["fraction"].str.pad_end(9, "0").cast(pl.Int64).fill_null(0)
    return Instants(seconds.set(~possible, None), nanos, parts["zone"].is_not_null())


def minute_text(moment: datetime) -> str:
    """Return a moment with a zone as text, to the minute.

    >>> minute_text(datetime.fromisoformat("2026-11-30T01:27:59+02:00"))
    '2026-11-29 23:27 UTC'
    """
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def counted_instants(cells: pl.Series, unit: int | None = None) -> Instants:
    """Return the moments of numbers since 1970-01-01 UTC; null where a cell is not a number.

    Without a unit, that of each number follows from its size, see `steps_per_second`, and one that
    may be a year, from 1000 to 3000, or a date, from 19000101 to 21001231, is none.

    >>> counted_instants(pl.Series([1_700_000_000_250, 1995])).nanoseconds().to_list()
    [1700000000250000000, None]

    Args:
        cells: numbers, or text that spells them.
        unit: nanoseconds.

    """
    numbers = numerals_of(cells)
    whole, size = numbers.whole, numbers.whole.abs()
    if unit is not None:
        steps = pl.repeat(SECOND // unit, len(cells), dtype=pl.Int64, eager=True)
    else:
        for limits in _NO_COUNTS:
            whole = whole.set(size.is_between(*limits).fill_null(value=False), None)
        larger = [(size >= limit).cast(pl.Int64).fill_null(0) for limit in _LARGER]
        power = sum(larger, _zeros(len(cells)))
        steps = power.replace_strict({0: 1, 1: 10**3, 2: 10**6, 3: SECOND}, return_dtype=pl.Int64)
    seconds = whole // steps
    nanos = ((whole - seconds * steps) * SECOND + numbers.billionths) // steps
    return Instants(seconds, nanos.fill_null(0), _flags(len(cells), value=True))


def steps_per_second(number: float) -> int:
    """Return the units per second of a number since 1970, by its size: 1, 1000, 10^6 or 10^9.

    Numbers below 100 billion, without their sign, count seconds, those below a thousand times as
    much milliseconds, and so on: each unit is read from 1973 to 5138.
    """
    return 1_000 ** sum(abs(number) >= limit for limit in _LARGER)


def _offset(zone: pl.Series) -> pl.Series:
    """Return seconds east of UTC; 0 without a zone, null for an impossible one."""
    digits = zone.str.replace(":", "", literal=True)
    signed = digits.str.contains(r"^[+-]").fill_null(value=False)
    hours = digits.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0)
    minutes = digits.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
    east = hours * 3600 + minutes * 60
    east = east.zip_with(~digits.str.starts_with("-").fill_null(value=False), -east)
    possible = (hours < 24) & (minutes < 60)
    return east.zip_with(signed, _zeros(len(zone))).set(signed & ~possible, None)


def formatted_instants(text: pl.Series, pattern: str) -> Instants:
    """Return the moments of text in a `strftime` pattern, to the microsecond; null elsewhere."""
    # Microseconds: beyond its range polars wraps nanoseconds around instead of refusing them.
    times = text.str.to_datetime(pattern, time_unit="us", strict=False)
    found = temporal_instants(times)
    return Instants(found.seconds, found.nanos, found.zoned & found.seconds.is_not_null())


def time_ids(series: pl.Series) -> pl.Series:
    """Return times as the text by which categories know them, the same from every source.

    A date and midnight are `2024-01-15`; other moments are `2024-01-15T10:30:00`, in UTC, with a
    fraction only where there is one. Of a text column only ISO 8601 values with a time of day
    change.

    >>> time_ids(pl.Series(["2024-01-15 00:00:00", "2024-01-15T10:30:00+01:00", "blue"])).to_list()
    ['2024-01-15', '2024-01-15T09:30:00', 'blue']
    """
    if series.dtype == pl.Date:
        return series.cast(pl.String)
    if is_temporal(series.dtype):
        return _text_of(temporal_instants(series))
    seen = series.str.contains(_ISO_ID).fill_null(value=False)
    if not seen.any():
        return series
    return _text_of(iso_instants(series.set(~seen, None))).fill_null(series)


def time_numbers(series: pl.Series) -> pl.Series:
    """Return times as Float64 seconds since 1970-01-01 UTC, null where there is none.

    Takes a Date or Datetime column, or ISO 8601 text.

    >>> time_numbers(pl.Series(["1970-01-02", "1970-01-01 00:00:01.5"])).to_list()
    [86400.0, 1.5]
    """
    found = temporal_instants(series) if is_temporal(series.dtype) else iso_instants(series)
    return found.seconds.cast(pl.Float64) + found.nanos.cast(pl.Float64) / SECOND


def _text_of(instants: Instants) -> pl.Series:
    whole = pl.from_epoch(instants.seconds, "s").dt.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = instants.nanos.cast(pl.String).str.zfill(9).str.strip_chars_end("0")
    fraction = pl.select(
        pl.when(pl.lit(instants.nanos) == 0).then(pl.lit("")).otherwise("." + pl.lit(fraction))
    ).to_series()
    return (whole + fraction).str.strip_suffix("T00:00:00")


def _zeros(rows: int) -> pl.Series:
    return pl.zeros(rows, dtype=pl.Int64, eager=True)


def _flags(rows: int, *, value: bool) -> pl.Series:
    return pl.repeat(value, rows, dtype=pl.Boolean, eager=True)
