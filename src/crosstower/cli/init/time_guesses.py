"""Infer whether a data column holds times, and their format."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from crosstower.cli.init.column_names import hints_time, names_id, names_time
from crosstower.data.times.evidence import Evidence
from crosstower.data.times.patterns import fitting_patterns, reads
from crosstower.errors import DataError
from crosstower.recipe.times import ORDER
from crosstower.values.instants import is_temporal

_DIGITS = re.compile(r"[0-9]")
_FEW = 20
_SAMPLE = 10_000


@dataclass(frozen=True)
class TimeGuess:
    """A time column, with a comment in `words` and a pattern in `format` if it needs one."""

    words: str = ""
    format: str | None = None


def guess_time(series: pl.Series) -> TimeGuess | None:
    """Return the guess for a time column; None for other columns."""
    if is_temporal(series.dtype):
        return TimeGuess()
    known = series.drop_nulls()[:_SAMPLE]
    if series.dtype == pl.String:
        return _guess_text(known)
    if not series.dtype.is_numeric() or names_id(series.name):
        return None
    if _is_epoch(known):
        return TimeGuess(" (an epoch)")
    calendar = known.dtype.is_integer() and hints_time(series.name)
    if calendar and reads(known.cast(pl.String), "%Y%m%d"):
        return TimeGuess(format="%Y%m%d")
    return None


def _is_epoch(known: pl.Series) -> bool:
    evidence = Evidence(known.name, strict=False)
    evidence.add(known, origin="", first_row=0)
    try:
        unit = evidence.decide().unit
    except DataError:
        return False
    return unit not in (None, ORDER) and not evidence.bad and hints_time(known.name)


def _guess_text(known: pl.Series) -> TimeGuess | None:
    head = known.head(_FEW)
    if not head.str.contains(_DIGITS.pattern).all():
        return None
    evidence = Evidence(known.name, strict=False)
    evidence.add(known, origin="", first_row=0)
    if not evidence.bad and set(evidence.first) <= {"naive", "zoned"}:
        return TimeGuess()
    fitting = [p for p in fitting_patterns(head) if reads(known, p)]
    if len(fitting) == 1:
        return TimeGuess(f" in the format {fitting[0]}", fitting[0])
    if fitting:
        formats = " or ".join(fitting)
        return TimeGuess(f" in the format {formats}; set data.times.{known.name} to it")
    if names_time(known.name) and known.n_unique() > _FEW:
        return TimeGuess(f" in a format of its own; set data.times.{known.name}")
    return None
