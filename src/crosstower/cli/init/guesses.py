"""Infer the kind of a data column from its first rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import polars as pl
import yaml

from crosstower.cli.init.column_names import (
    names_id,
    names_index,
    names_label,
    names_list,
    names_order,
    names_outcome,
    names_time,
)
from crosstower.cli.init.time_guesses import guess_time
from crosstower.data.sources.source import Source
from crosstower.data.split import SPLITS

_CHUNKS = 4
FEW = 20
MANY = 100  # rows from which a value per row is not an accident
_SKEWED = 5.0
_SPLITS = (set(SPLITS), set(SPLITS[:1] + SPLITS[2:]))

_YES = {"yes", "y", "true", "t", "positive", "pos"}
_BRACKETED = r"^\s*\[.*\]\s*$"
_SEPARATORS = ("|", ";", ",")
Role = Literal["feature", "time", "order", "split", "label", "giveaway", "other"]


@dataclass(frozen=True)
class Guess:
    """Inferred kind of a data column; without a `section` it is left out, as `note` says.

    `format` is the pattern of a time in an unusual format.
    """

    section: dict[str, Any] | None
    note: str
    role: Role = "feature"
    format: str | None = None


def first_rows(source: Source) -> pl.DataFrame:
    """Return the first rows, with numeric text as numbers."""
    chunks = islice(source.chunks(source.columns()), _CHUNKS)
    frame = pl.concat([chunk.frame for chunk in chunks], how="vertical_relaxed")
    return frame.with_columns(_typed(frame[c]) for c in frame.columns)


def _typed(series: pl.Series) -> pl.Series:
    """Return text as numbers or booleans if possible; longer integers stay text."""
    if series.dtype != pl.String or series.null_count() == len(series):
        return series
    if set(series.drop_nulls().str.to_lowercase().unique()) <= {"true", "false"}:
        return series.str.to_lowercase() == "true"
    for kind in (pl.Int64, pl.Float64):
        numbers = series.cast(kind, strict=False)
        if numbers.null_count() == series.null_count():
            # Leading zeros and many digits mean an id, not a number.
            return series if series.str.contains(r"^0\d|^\d{19,}$").any() else numbers
    return series


def guess(series: pl.Series) -> Guess:
    """Return the inferred kind of a column, by its values and its name."""
    if series.null_count() == len(series):
        return Guess(None, "empty", "other")
    if isinstance(series.dtype, pl.List | pl.Array):
        return _guess_list(series)
    return _guess_role(series) or _guess_feature(series)


def _guess_feature(series: pl.Series) -> Guess:
    distinct = series.drop_nulls().n_unique()
    note = f"{distinct:,} distinct"
    if series.null_count():
        note += f", {series.null_count() / len(series):.1%} missing"
    if series.dtype.is_numeric():
        return _guess_number(series, distinct, note)
    if series.dtype == pl.String:
        return _guess_text(series, distinct, note)
    return Guess({"kind": "categorical"}, note)


def _guess_role(series: pl.Series) -> Guess | None:
    """Return the role of a column that is not a feature, such as an index, a time or a label."""
    time = guess_time(series)
    if time is not None and not names_index(series.name):
        return Guess(None, f"a time{time.words}", "time", time.format)
    found = next((rule for rule in _ROLES if rule[0](series)), None)
    return None if found is None else Guess(None, found[2], found[1])


def _is_key(series: pl.Series) -> bool:
    return names_id(series.name) and series.n_unique() == len(series) >= MANY


def _is_list(series: pl.Series) -> bool:
    return names_list(series.name) and series.n_unique() >= MANY


def _numbers_rows(series: pl.Series) -> bool:
    """Return whether a column increases by one per row."""
    if not series.dtype.is_integer() or len(series) < MANY or series.null_count():
        return False
    return bool((series.diff()[1:] == 1).all())


def _is_order(series: pl.Series) -> bool:
    """Return whether integers have the name of an order, or increase from row to row."""
    distinct = series.n_unique()
    if not series.dtype.is_integer() or series.null_count() or names_id(series.name):
        return False
    named = (names_order(series.name) or names_time(series.name)) and distinct > 2
    rising = len(series) >= MANY and distinct > 0.9 * len(series) and series.is_sorted()
    return named or rising


def is_split(series: pl.Series) -> bool:
    """Return whether the values of a column are train, valid and test."""
    return series.dtype == pl.String and set(series.drop_nulls().unique()) in _SPLITS


_ROLES: tuple[tuple[Callable[[pl.Series], bool], Role, str], ...] = (
    (lambda s: s.n_unique() == 1, "other", "one value only"),
    (lambda s: names_index(s.name), "other", "index of a data frame, by its name"),
    (_numbers_rows, "other", "numbers the rows"),
    (_is_order, "order", "orders the rows"),
    (is_split, "split", "split of a row"),
    (lambda s: names_outcome(s.name), "label", "outcome known only afterwards, by its name"),
    (lambda s: names_label(s.name), "label", "another label, by its name"),
    (_is_key, "other", "unique in each row"),
    (_is_list, "other", "a list of rows, by its name, for training.group or evaluation.group"),
)


def positive_text(known: pl.Series) -> str:
    """Return the positive label text; the rarest one if none is recognised."""
    counts = known.value_counts().sort("count", known.name)[known.name]
    return next((text for text in counts if text.strip().lower() in _YES), counts[0])


def _guess_number(series: pl.Series, distinct: int, note: str) -> Guess:
    whole = _whole(series)
    if (whole and names_id(series.name)) or (series.dtype.is_integer() and distinct <= FEW):
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
    bag = _bracketed_bag(known) or _separated_bag(known)
    if bag is not None:
        return bag
    words = float(known.str.count_matches(r"\s").mean() or 0.0)  # type: ignore[arg-type]
    if words > 3 and distinct > len(known) / 2:
        return Guess({"kind": "text"}, f"free text, {note}")
    return Guess({"kind": "categorical"}, note)


def _bracketed_bag(known: pl.Series) -> Guess | None:
    """Return a bag if nearly all values are lists in brackets, such as `[3, 5]`."""
    lists = float(known.str.contains(_BRACKETED).mean() or 0.0)  # type: ignore[arg-type]
    if lists < 0.9 or known.str.contains(r"^\s*\[\s*-?\d*\.\d").any():  # decimals: a vector as text
        return None
    lengths = known.str.count_matches(",", literal=True) + 1
    return Guess({"kind": "bag", "max_len": _length(lengths)}, f"lists of at most {lengths.max()}")


def _separated_bag(known: pl.Series) -> Guess | None:
    """Return a bag if many values hold a separator between short values that come again."""
    for separator in _SEPARATORS:
        held = known.str.contains(separator, literal=True)
        if float(held.mean() or 0.0) <= 0.3:  # type: ignore[arg-type]
            continue
        parts = known.str.split(separator).explode().str.strip_chars()
        words = float(parts.str.count_matches(r"\s+").mean() or 0.0)  # type: ignore[arg-type]
        lengths = known.str.count_matches(separator, literal=True) + 1
        several = lengths.n_unique() > 1 and parts.n_unique() <= len(parts) / 2
        if separator == "|" or (words < 1 and several):
            section = {"kind": "bag", "separator": separator, "max_len": _length(lengths)}
            return Guess(section, f"values separated by '{separator}', at most {lengths.max()}")
    return None


def _guess_list(series: pl.Series) -> Guess:
    lengths = series.drop_nulls().list.len() if isinstance(series.dtype, pl.List) else None
    inner = series.dtype.inner  # type: ignore[union-attr]
    width = series.dtype.size if isinstance(series.dtype, pl.Array) else None
    if lengths is not None and lengths.n_unique() == 1:
        width = int(lengths[0])
    if inner.is_float() and width:
        return Guess({"kind": "vector", "width": width}, f"{width} numbers per row")
    if inner.is_float():
        return Guess(None, "lists of floats of different lengths")
    lengths = series.drop_nulls().list.len() if lengths is None else lengths
    section = {"kind": "bag", "max_len": _length(lengths)}
    note = f"list of at most {lengths.max()} values; use kind: sequence if the order matters"
    return Guess(section, note)


def _length(lengths: pl.Series) -> int:
    """Return the length that keeps all values of 99 % of the lists."""
    longest, most = int(lengths.max() or 1), lengths.quantile(0.99, "higher")  # type: ignore[arg-type]
    return max(1, longest if longest <= FEW else int(most or 1))


def _whole(series: pl.Series) -> bool:
    """Return whether all numbers are whole; missing ids make pandas write floats."""
    if series.dtype.is_integer():
        return True
    known = series.cast(pl.Float64).drop_nulls()
    return bool((known == known.floor()).all())


def column_line(name: str, guess: Guess) -> str:
    """Return a column as a line of YAML, with a comment on its values."""
    if guess.section is None:
        return f"    # {name}: left out: {guess.note}"
    section = guess.section["kind"] if len(guess.section) == 1 else guess.section
    return f"    {plain(name)}: {plain(section)}  # {guess.note}"


def plain(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=1000, sort_keys=False, allow_unicode=True
    )
    return text.strip().removesuffix("...").strip()
