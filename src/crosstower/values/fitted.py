"""Values of requests as a column of a type holds them."""

from __future__ import annotations

from typing import Any, cast

import polars as pl

from crosstower.errors import DataError
from crosstower.values.columns import numbers_of
from crosstower.values.ids import id_of, text_of_value
from crosstower.values.instants import counted_instants, is_temporal, iso_instants

_FIRST, _END = -62_135_596_800, 253_402_300_800
"""Seconds since 1970 of the years 1 to 9999."""


def fitted(value: Any, kind: pl.DataType) -> Any:
    """Return a Python value as a column of a type holds it, so that "7" fits integers.

    Raises:
        DataError: it does not fit.

    """
    try:
        found = _fitted(value, kind)
        pl.Series([found], dtype=kind, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        raise _unfit(value, kind) from None
    return found


def _fitted(value: Any, kind: pl.DataType) -> Any:
    """Return a value that a column of a type may hold."""
    if value is None:
        return None
    if isinstance(kind, pl.List | pl.Array):
        elements = list(value) if isinstance(value, list | tuple) else [value]
        inner = cast("Any", kind.inner)
        inner = inner() if isinstance(inner, type) else inner
        return [_fitted(element, inner) for element in elements]
    if isinstance(kind, pl.String):
        return text_of_value(value)
    if kind.is_integer() and type(found := id_of(value)) is int:
        return found
    if kind.is_numeric() or is_temporal(kind) or isinstance(kind, pl.Boolean):
        return _fitted_number(value, kind)
    return pl.Series([value], dtype=kind, strict=True)[0]


def _fitted_number(value: Any, kind: pl.DataType) -> Any:
    if is_temporal(kind):
        return _fitted_time(value, kind)
    number = numbers_of(pl.Series([text_of_value(value)], dtype=pl.String))[0][0]
    if number is None:
        raise _unfit(value, kind)
    if kind.is_float():
        return number
    return pl.Series([number]).cast(kind, strict=True)[0] if number in (0.0, 1.0) else value


def _fitted_time(value: Any, kind: pl.DataType) -> Any:
    """Return a date or a time; a number counts since 1970, in a unit that follows from its size."""
    text = pl.Series([text_of_value(value)], dtype=pl.String)
    found = counted_instants(text)
    if found.seconds[0] is None:
        found = iso_instants(text)
    if found.seconds[0] is None or not _FIRST <= found.seconds[0] < _END:
        raise _unfit(value, kind)
    return pl.from_epoch(found.microseconds(), "us").cast(kind)[0]


def _unfit(value: Any, kind: pl.DataType) -> DataError:
    return DataError(f"expected {kind}, got {value!r}")
