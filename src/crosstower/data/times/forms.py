"""Form of each value of a time column: a moment, a number, missing, or none of these."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crosstower.errors import DataError
from crosstower.recipe.times import TimeFormat
from crosstower.values.instants import (
    Instants,
    formatted_instants,
    is_temporal,
    iso_instants,
    temporal_instants,
)
from crosstower.values.numerals import Numerals, numerals_of


@dataclass(frozen=True)
class Forms:
    """The values `[R]` of one chunk as moments and as numbers; a value has at most one of them.

    `missing` is true for null, NaN and blank text.
    """

    instants: Instants
    numerals: Numerals
    missing: pl.Series


def split_forms(series: pl.Series, how: TimeFormat) -> Forms:
    """Return the form of each value of a column.

    Raises:
        DataError: the column holds lists, booleans, times of day, durations or binary values.

    """
    kind, rows = series.dtype, len(series)
    if is_temporal(kind):
        instants = temporal_instants(series).in_zone(how.timezone)
        return Forms(instants, Numerals.none(rows), series.is_null())
    if kind.is_numeric():
        missing = series.is_null()
        if kind.is_float():
            missing |= series.is_nan().fill_null(value=True)
        if how.pattern is not None:
            series = numerals_of(series).times(1).cast(pl.String).set(missing, None)
            return Forms(_formatted(series, how, how.pattern), Numerals.none(rows), missing)
        return Forms(Instants.none(rows), numerals_of(series), missing)
    if not isinstance(kind, pl.String | pl.Categorical | pl.Enum | pl.Null):
        raise DataError(
            f"column '{series.name}': expected dates, times, numbers or text, got {kind};"
            " convert it to one of these"
        )
    return _of_text(series.cast(pl.String).str.strip_chars(), how)


def _of_text(text: pl.Series, how: TimeFormat) -> Forms:
    missing = text.is_null() | (text == "").fill_null(value=True)
    if how.pattern is not None:
        return Forms(_formatted(text, how, how.pattern), Numerals.none(len(text)), missing)
    numerals = numerals_of(text)
    if numerals.whole.null_count() == missing.sum():
        return Forms(Instants.none(len(text)), numerals, missing)
    return Forms(iso_instants(text).in_zone(how.timezone), numerals, missing)


def _formatted(text: pl.Series, how: TimeFormat, pattern: str) -> Instants:
    return formatted_instants(text, pattern).in_zone(how.timezone)
