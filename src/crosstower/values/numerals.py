"""Numbers that count time: exact, from integers, floats, decimals and text.

A number is held as a whole part and billionths, so that nothing is rounded through float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

BILLION = 1_000_000_000
_WHOLE = r"^[+-]?[0-9]+$"
_DECIMAL = r"^([+-]?)([0-9]*)[.]([0-9]*)$"
_FRACTIONAL = r"^[+-]?[0-9]*[.eE][0-9+-]*"
_FINE = 1e6
_SCIENTIFIC = r"^[+-]?[0-9]+([.][0-9]*)?[eE][+-]?[0-9]+$"


@dataclass(frozen=True)
class Numerals:
    """Numbers `[R]` as `whole` (Int64, rounded down; null: none) plus `billionths`."""

    whole: pl.Series
    billionths: pl.Series

    @staticmethod
    def none(rows: int) -> Numerals:
        """Return the numerals of values that are not numbers: all null."""
        nothing = pl.repeat(None, rows, dtype=pl.Int64, eager=True)
        return Numerals(nothing, nothing.fill_null(0))

    @property
    def has_fractions(self) -> bool:
        """Whether a number is not whole."""
        return bool((self.billionths.filter(self.whole.is_not_null()) != 0).any())

    def times(self, factor: int) -> pl.Series:
        """Return the numbers times `factor`, rounded down; null beyond 64 bits."""
        limit = (2**63 - 1) // factor - 1
        fits = self.whole.is_between(-limit, limit).fill_null(value=False)
        return self.whole.set(~fits, None) * factor + self.billionths * factor // BILLION


def numerals_of(series: pl.Series) -> Numerals:
    """Return the numbers of a numeric or text column; null where a value is none.

    Floats of a million and more are rounded to millionths, others to billionths: a float64 holds
    no more of an epoch in seconds.

    >>> numerals_of(pl.Series(["9.5", "-0.25", "10", "1e3", "x"])).times(100).to_list()
    [950, -25, 1000, 100000, None]
    """
    if series.dtype.is_integer():
        whole = series.cast(pl.Int64, strict=False)
        return Numerals(whole, pl.zeros(len(series), dtype=pl.Int64, eager=True))
    if series.dtype.is_float():
        return _of_floats(series.cast(pl.Float64))
    return _of_text(series.cast(pl.String))


def _of_floats(series: pl.Series) -> Numerals:
    numbers = series.fill_null(float("nan")).to_numpy()
    with np.errstate(invalid="ignore"):
        usable = np.abs(numbers) < 2.0**63  # not NaN, not infinite
    numbers = np.where(usable, numbers, 0.0)
    whole = np.floor(numbers)
    step = np.where(np.abs(numbers) < _FINE, 1, 1_000)
    billionths = np.rint((numbers - whole) * (BILLION / step)).astype(np.int64) * step
    carried = whole.astype(np.int64) + billionths // BILLION
    return Numerals(
        pl.Series(carried).set(pl.Series(~usable), None), pl.Series(billionths % BILLION)
    )


def _of_text(text: pl.Series) -> Numerals:
    whole = text.set(~text.str.contains(_WHOLE).fill_null(value=False), None)
    whole = whole.str.strip_chars_start("+").cast(pl.Int64, strict=False)
    zeros = pl.zeros(len(text), dtype=pl.Int64, eager=True)
    if whole.null_count() == text.null_count():
        return Numerals(whole, zeros)
    if not text.str.contains(_FRACTIONAL).any():
        return Numerals(whole, zeros)
    exact = _of_decimals(text)
    floats = text.set(~text.str.contains(_SCIENTIFIC).fill_null(value=False), None)
    rough = _of_floats(floats.cast(pl.Float64, strict=False))
    decimal, scientific = exact.whole.is_not_null(), rough.whole.is_not_null()
    billionths = exact.billionths.zip_with(decimal, rough.billionths.zip_with(scientific, zeros))
    return Numerals(whole.fill_null(exact.whole).fill_null(rough.whole), billionths)


def _of_decimals(text: pl.Series) -> Numerals:
    parts = text.str.extract_groups(_DECIMAL).struct.rename_fields(["sign", "whole", "fraction"])
    fields = parts.struct.unnest()
    digits = fields["whole"] + fields["fraction"]
    whole = pl.Series("whole", ["0"]).new_from_index(0, len(text)) + fields["whole"]
    whole = whole.set(digits == "", None).cast(pl.Int64, strict=False)
    billionths = fields["fraction"].str.slice(0, 9).str.pad_end(9, "0").cast(pl.Int64, strict=False)
    negative = (fields["sign"] == "-").fill_null(value=False)
    borrow = (negative & (billionths > 0).fill_null(value=False)).cast(pl.Int64)
    whole = whole.zip_with(~negative, -whole - borrow)
    billionths = billionths.zip_with(borrow == 0, BILLION - billionths)
    return Numerals(whole, billionths.fill_null(0))
