"""Common strftime patterns, and which of them read given text."""

from __future__ import annotations

import polars as pl

from crosstower.values.instants import formatted_instants

_DAYS = ("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y")
_WORDED = ("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d-%b-%Y", "%m %d, %Y", "%b %d %Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_VERSIONS = "%d.%m.%y"
"""Reads version numbers as well."""
_WHOLE = ("%a, %d %b %Y %H:%M:%S %z", "%a %b %d %H:%M:%S %z %Y", "%Y%m%dT%H%M%S", "%Y%m%d%H%M%S")


def fitting_patterns(text: pl.Series, *, times: bool = False) -> list[str]:
    """Return the common patterns that read all values of a text column.

    Args:
        text: the values.
        times: they are known to be times, so 1.2.24 is a day and no version.

    """
    days = (*_DAYS, *_WORDED, *([_VERSIONS] if times else []))
    patterns = [day + clock for day in days for clock in _CLOCKS] + list(_WHOLE)
    return [pattern for pattern in patterns if reads(text, pattern)]


def reads(text: pl.Series, pattern: str) -> bool:
    """Tell whether a strftime pattern reads all values of a text column."""
    return formatted_instants(text.str.strip_chars(), pattern).nanoseconds().null_count() == 0
