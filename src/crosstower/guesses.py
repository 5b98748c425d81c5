"""Guess what a data column is from its first rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

import polars as pl
import yaml

from crosstower.data.sources import Source

_CHUNKS = 4
FEW = 20
LABEL = re.compile(
    r"^(label|target|y|click(ed)?|is_click|conversion|converted|purchase[d]?|bought|install(ed)?"
    r"|like[ds]?|did_watch|watched|booking|booked|income|rating|outcome)$"
)
_ID = re.compile(r"(^|[_\- ])(id|ids|user|item|uuid|code|zip)$")
TIME = re.compile(r"^(time|ts|date|datetime|(.*[_\- ])?timestamp|.*[_\- ](at|ts|date))$")
_SKEWED = 5.0


@dataclass(frozen=True)
class Guess:
    """What a data column seems to be; `section` None leaves it out, for the reason in `note`."""

    section: dict[str, Any] | None
    note: str


def first_rows(source: Source) -> pl.DataFrame:
    """Return the first rows, text that spells numbers as numbers."""
    chunks = islice(source.chunks(source.columns()), _CHUNKS)
    frame = pl.concat([chunk.frame for chunk in chunks], how="vertical_relaxed")
    return frame.with_columns(_typed(frame[c]) for c in frame.columns)


def _typed(series: pl.Series) -> pl.Series:
    """Return text as the number that it spells (CSV); ids too long for 64 bits stay text."""
    if series.dtype != pl.String or series.null_count() == len(series):
        return series
    for kind in (pl.Int64, pl.Float64):
        numbers = series.cast(kind, strict=False)
        if numbers.null_count() == series.null_count():
            # Leading zeros and long digits are names, not amounts.
            return series if series.str.contains(r"^0\d|^\d{19,}$").any() else numbers
    return series


def guess(series: pl.Series) -> Guess:  # noqa: PLR0911 - one rule a line
    """Return what a column seems to be."""
    if series.null_count() == len(series):
        return Guess(None, "empty")
    if isinstance(series.dtype, pl.List | pl.Array):
        return _guess_list(series)
    distinct = series.n_unique()
    note = f"{distinct:,} distinct"
    if series.null_count():
        note += f", {series.null_count() / len(series):.1%} missing"
    if distinct == 1:
        return Guess(None, "one value only")
    if series.dtype.is_temporal() or TIME.search(series.name.lower()):
        return Guess(None, f"a time; for data.split: {{kind: time, column: {series.name}}}")
    if series.dtype.is_numeric():
        return _guess_number(series, distinct, note)
    if series.dtype == pl.String:
        return _guess_text(series, distinct, note)
    return Guess({"kind": "categorical"}, note)


def _guess_number(series: pl.Series, distinct: int, note: str) -> Guess:
    whole = series.dtype.is_integer()
    if whole and (_ID.search(series.name.lower()) or distinct <= FEW):
        return Guess({"kind": "categorical"}, note)
    known = series.cast(pl.Float64).drop_nulls()
    skew = known.skew() if len(known) > 2 else None
    low, high = known.min(), known.max()
    note = f"{low:g} to {high:g}, {note}"
    if skew is not None and skew > _SKEWED and isinstance(low, float) and low >= 0:
        return Guess({"kind": "numeric", "transform": "log1p"}, f"{note}, long tail")
    return Guess({"kind": "numeric"}, note)


def _guess_text(series: pl.Series, distinct: int, note: str) -> Guess:
    known = series.drop_nulls()
    if float(known.str.contains("|", literal=True).mean() or 0.0) > 0.3:  # type: ignore[arg-type]
        return Guess({"kind": "bag", "separator": "|"}, "values separated by |")
    words = float(known.str.count_matches(r"\s").mean() or 0.0)  # type: ignore[arg-type]
    if words > 3 and distinct > len(known) / 2:
        return Guess({"kind": "text"}, f"free text, {note}")
    return Guess({"kind": "categorical"}, note)


def _guess_list(series: pl.Series) -> Guess:
    lengths = series.drop_nulls().list.len() if isinstance(series.dtype, pl.List) else None
    inner = series.dtype.inner  # type: ignore[union-attr]
    width = series.dtype.size if isinstance(series.dtype, pl.Array) else None
    if lengths is not None and lengths.n_unique() == 1:
        width = int(lengths[0])
    if inner.is_float() and width:
        return Guess({"kind": "vector", "width": width}, f"{width} numbers a row")
    if inner.is_float():
        return Guess(None, "lists of floats of different lengths")
    return Guess({"kind": "bag"}, "a list; use kind: sequence if the order counts")


def column_line(name: str, guess: Guess) -> str:
    """Return a column as a line of YAML, with what was seen of it."""
    if guess.section is None:
        return f"    # {name}: left out: {guess.note}"
    section = guess.section["kind"] if len(guess.section) == 1 else guess.section
    return f"    {plain(name)}: {plain(section)}  # {guess.note}"


def plain(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    return text.strip().removesuffix("...").strip()
