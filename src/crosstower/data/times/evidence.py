"""Decide how a column is read as time, from all of its values.

`Evidence` collects what the values are, chunk by chunk and file by file. `decide` then returns
the one `Clock` that reads all of them, or refuses a column that could be read in several ways.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from crosstower.data.times.clock import Clock
from crosstower.data.times.forms import Forms, split_forms
from crosstower.data.times.patterns import fitting_patterns
from crosstower.errors import DataError
from crosstower.recipe.times import ORDER, UNIT_WORDS, UNITS, USUAL, TimeFormat
from crosstower.values.instants import SECOND

EARLIEST, LATEST = 315_532_800, 4_102_444_800
"""1980 and 2100 in seconds since 1970: numbers between them, times 10^0, 3, 6 or 9, are times."""
_WORDS = UNIT_WORDS | {
    "naive": "a time without a zone",
    "zoned": "a time with a zone",
    ORDER: "a number outside of the years 1980 to 2099 in any unit",
}


@dataclass
class Evidence:
    """Forms of the values in one time column; `first` is an example of each form.

    With `strict`, the first value that is missing or no time is an error; otherwise they are
    counted in `bad`.
    """

    column: str
    how: TimeFormat = USUAL
    strict: bool = True
    first: dict[str, str] = field(default_factory=dict[str, str])
    fractions: bool = False
    bad: int = 0

    def add(self, series: pl.Series, *, origin: str, first_row: int) -> None:
        """Add the rows of one chunk.

        Raises:
            DataError: the column holds another type, or (if strict) a value is not a time.

        """
        forms = split_forms(series, self.how)
        masks = _masks(forms, self.how)
        for form, mask in masks.items():
            if form not in self.first and mask.any():
                row = int(mask.arg_max() or 0)
                self.first[form] = f"{_shown(series, row)} in row {first_row + row} of {origin}"
        self.fractions |= forms.numerals.has_fractions
        good = pl.Series([False]).new_from_index(0, len(series))
        for mask in masks.values():
            good |= mask
        self.bad += len(series) - int(good.sum())
        if self.strict and not good.all():
            row = int((~good).arg_max() or 0)
            place = f"row {first_row + row} of {origin}"
            raise self._refused(_shown(series, row), place, missing=bool(forms.missing[row]))

    def decide(self) -> Clock:
        """Return the clock of the column.

        Raises:
            DataError: no value is a time, or the values are of several kinds.

        """
        if not self.first:
            raise DataError(
                f"column '{self.column}': none of its {self.bad:,} rows holds a time;"
                f" {self._advice('')}"
            )
        found = list(self.first)
        numbers = [form for form in found if form not in ("naive", "zoned")]
        given = self.how.format
        several = len(numbers) > 1 or (bool(numbers) and len(found) > len(numbers))
        if several and given not in UNITS:
            raise self._mixed(found, f"{', '.join(UNITS)}, {ORDER} or a strftime pattern")
        if {"naive", "zoned"} <= set(found) and self.how.timezone is None:
            raise self._mixed(found, "")
        if not numbers or self.how.pattern is not None:
            return Clock(self.column, self.how)
        return Clock(self.column, self.how, given or numbers[0], self.fractions)

    def _mixed(self, found: list[str], formats: str) -> DataError:
        examples = " and ".join(f"{_WORDS[form]} ({self.first[form]})" for form in found[:2])
        key = f"data.times.{self.column}"
        advice = f"{key}.format: {formats}" if formats else f"{key}.timezone, such as UTC"
        return DataError(
            f"column '{self.column}': holds {examples}, which cannot be put in one order; write"
            f" them in one form, or set {advice}"
        )

    def _refused(self, value: str, place: str, *, missing: bool) -> DataError:
        advice = "fill it in" if missing else self._advice(value.strip("'"))
        return DataError(
            f"column '{self.column}': expected a time, got {value} in {place}; {advice}, or set"
            " data.on_bad_rows: skip to leave such rows out"
        )

    def _advice(self, value: str) -> str:
        key = f"data.times.{self.column}.format"
        if self.how.pattern is not None:
            return f"write it in the format of {key}, '{self.how.pattern}', of the years 1678-2261"
        fitting = fitting_patterns(pl.Series([value], dtype=pl.String), times=True)
        examples = " or ".join(f"'{pattern}'" for pattern in fitting)
        pattern = examples or "its strftime pattern, such as '%d.%m.%Y %H:%M:%S'"
        return f"set {key} to {pattern}, or write ISO 8601 of the years 1678-2261"


def _masks(forms: Forms, how: TimeFormat) -> dict[str, pl.Series]:
    """Return the rows of each form that a value may have."""
    moment = forms.instants.nanoseconds().is_not_null()
    masks = {"naive": moment & ~forms.instants.zoned, "zoned": moment & forms.instants.zoned}
    whole = forms.numerals.whole
    if how.format in UNITS or how.format == ORDER:
        factor = UNITS.get(how.format or "", 1)
        return masks | {how.format or "": forms.numerals.times(factor).is_not_null()}
    other = whole.is_not_null()
    for unit, factor in UNITS.items():
        scale = SECOND // factor
        mask = whole.is_between(EARLIEST * scale, LATEST * scale - 1).fill_null(value=False)
        masks[unit], other = mask, other & ~mask
    return masks | {ORDER: other}


def _shown(series: pl.Series, row: int) -> str:
    value = series[row]
    return "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
