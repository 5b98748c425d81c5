"""Columns in canonical form: ids, texts and numbers, from every type that a column can have."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError
from crosstower.values.ids import BOOLEAN, MOMENT, WHOLE, Id, id_of, text_of_bytes
from crosstower.values.instants import is_temporal, time_ids, time_numbers

_EXACT: dict[Any, int] = {pl.Float64: 2**53, pl.Float32: 2**24, pl.Float16: 2**11}
"""Floats of this size may represent several integers."""

_FEW = 8  # rows; below it, Python is faster than a query engine
_SPECIAL = rf"^\s|\s$|^$|{WHOLE}|{BOOLEAN}|{MOMENT}"
_SPECIAL_TEXT = re.compile(_SPECIAL)
_SAME = {"true": "1", "false": "0", "1": "true", "0": "false"}
_ID = "an id, an integer or a text"
_ID_ADVICE = "store ids as integers or text, as floating-point numbers round them"


@dataclass(frozen=True)
class Cells:
    """Values `[B]` of a column, a mask of the bad ones, and the words of their message."""

    values: pl.Series
    bad: pl.Series
    expected: str
    advice: str


def none_bad(rows: int) -> pl.Series:
    """Return that no cell is bad."""
    return pl.Series(np.zeros(rows, dtype=bool))


def text_of(raw: pl.Series) -> pl.Series:
    """Return the canonical text of each value; null where it is missing.

    >>> text_of(pl.Series([1.0, 2.5, None])).to_list()
    ['1', '2.5', None]

    Raises:
        DataError: the column holds lists or structures.

    """
    if raw.dtype == pl.String:
        return _text_of_texts(raw)
    for fits, found in _TEXTS:
        if fits(raw.dtype):
            return found(raw)
    raise DataError(
        f"column '{raw.name}': expected single values such as ids, got {raw.dtype}; store it as"
        " integers or text, or declare it as what it is"
    )


def _plain_text(raw: pl.Series) -> pl.Series:
    return raw.cast(pl.String)


def _text_of_binary(raw: pl.Series) -> pl.Series:
    texts = [None if v is None else text_of_bytes(v) for v in raw.to_list()]
    return _text_of_texts(pl.Series(raw.name, texts, dtype=pl.String))


def _text_of_texts(raw: pl.Series) -> pl.Series:
    if len(raw) <= _FEW:
        if not any(v is not None and _SPECIAL_TEXT.search(v) for v in raw.to_list()):
            return raw
        texts = [None if v is None else id_of(v) for v in raw.to_list()]
        plain = [None if v is None else str(v) for v in texts]
        return pl.Series(raw.name, plain, dtype=pl.String)
    special = raw.str.contains(_SPECIAL).fill_null(value=False)
    if not special.any():
        return raw
    changed = _canonical(raw.filter(special))
    return raw.clone().scatter(special.arg_true(), changed)  # it changes its series


def _canonical(texts: pl.Series) -> pl.Series:
    """Return texts in canonical form; each may need a change."""
    text = texts.str.strip_chars()
    text = text.set(text == "", None)
    whole = text.str.contains(WHOLE).fill_null(value=False)
    digits = text.str.replace(r"\.0+$", "").str.replace("^-0$", "0")
    text = digits.zip_with(whole, text)
    boolean = text.str.contains(BOOLEAN).fill_null(value=False)
    text = text.str.to_lowercase().zip_with(boolean, text)
    moment = text.str.contains(MOMENT).fill_null(value=False)
    if moment.any():
        text = text.scatter(moment.arg_true(), time_ids(text.filter(moment)))
    return text


def _text_of_numbers(raw: pl.Series) -> pl.Series:
    """Return numbers as their shortest text; whole ones without a point, NaN as missing."""
    if isinstance(raw.dtype, pl.Decimal):
        text = raw.cast(pl.String)
        return text.str.replace(r"(\.[0-9]*?)0+$", "$1").str.strip_chars_end(".")
    known = raw.set(raw.is_nan().fill_null(value=False), None)
    whole = known.cast(pl.Int64, strict=False)
    exact = (whole == known) & (known.abs() < _EXACT[raw.dtype.base_type()])
    return whole.cast(pl.String).zip_with(exact.fill_null(value=False), known.cast(pl.String))


_TEXTS: tuple[tuple[Callable[[pl.DataType], bool], Callable[[pl.Series], pl.Series]], ...] = (
    (lambda k: k.is_integer() or isinstance(k, pl.Boolean | pl.Null), _plain_text),
    (lambda k: isinstance(k, pl.Categorical | pl.Enum), lambda s: _text_of_texts(_plain_text(s))),
    (lambda k: k.is_float() or isinstance(k, pl.Decimal), _text_of_numbers),
    (is_temporal, time_ids),
    (lambda k: k == pl.Time, lambda s: s.dt.to_string("%H:%M:%S%.f")),
    (lambda k: k == pl.Binary, _text_of_binary),
)


def ids_of(raw: pl.Series) -> pl.Series:
    """Return canonical ids, Int64 or String; null where one is missing or cannot be an id.

    Fractions, infinities, and floats so large that they represent several integers cannot be ids.

    Raises:
        DataError: the column holds lists, structures or durations.

    """
    kind = raw.dtype
    if kind.is_integer():
        ids = raw.cast(pl.Int64, strict=False)
        return ids if ids.null_count() == raw.null_count() else raw.cast(pl.String)
    if kind.is_float():
        whole = raw.cast(pl.Int64, strict=False)
        exact = (whole == raw) & (raw.abs() < _EXACT[kind.base_type()])
        return whole.set(~exact.fill_null(value=False), None)
    if isinstance(kind, pl.Decimal):
        text = text_of(raw)
        return text.set(text.str.contains(".", literal=True).fill_null(value=False), None)
    return text_of(raw)


def no_ids(raw: pl.Series, ids: pl.Series) -> pl.Series:
    """Return which cells of a column hold something that is not an id; a missing value is fine."""
    if ids.null_count() == raw.null_count() or not (
        raw.dtype.is_float() or isinstance(raw.dtype, pl.Decimal)
    ):
        return pl.repeat(value=False, n=len(raw), eager=True, dtype=pl.Boolean)
    there = raw.is_not_null()
    return ids.is_null() & (there & raw.is_not_nan() if raw.dtype.is_float() else there)


def id_cells(raw: pl.Series) -> Cells:
    """Return canonical ids; a cell that cannot be an id is bad."""
    ids = ids_of(raw)
    return Cells(ids, no_ids(raw, ids), _ID, _ID_ADVICE)


def to_ids(name: str, raw: pl.Series) -> pl.Series:
    """Return the canonical ids of a whole column, Int64 where all are integers, else String.

    Args:
        name: of the column in messages; `raw` may have an internal one.
        raw: the values.

    Raises:
        DataError: a value cannot be an id.

    """
    ids = ids_of(raw.alias(name)).alias(raw.name)
    bad = no_ids(raw, ids)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"column '{name}': expected {_ID}, got {raw[row]!r} in row {row}; {_ID_ADVICE}"
        )
    return settled(ids)


def settled(ids: pl.Series) -> pl.Series:
    """Return canonical ids of a whole column as Int64 where all are integers of 64 bits.

    >>> settled(pl.Series(["10", "9", None])).to_list()
    [10, 9, None]
    """
    if ids.dtype != pl.String:
        return ids.cast(pl.Int64)
    numbers = _integers(ids)
    return numbers if numbers.null_count() == ids.null_count() else ids


def matched(ids: pl.Series, known: pl.Series) -> pl.Series:
    """Return canonical ids in the type of known ones; null where one cannot be among them.

    Where all known values are 0 and 1, `true` and `false` are those, and the other way round.
    """
    if len(known) in (1, 2) and ids.dtype != known.dtype:
        ids = _flags(ids, known)
    if ids.dtype == known.dtype:
        return ids
    if known.dtype == pl.String:
        return ids.cast(pl.String)
    return _integers(ids.cast(pl.String)).cast(known.dtype, strict=False)


def matched_id(value: Id, known: pl.Series) -> Id | None:
    """Return the result of `matched` for one canonical id; None if it cannot be among them."""
    text = known.dtype == pl.String
    if text and type(value) is str:
        return value
    if not text and type(value) is int:
        return value
    if len(known) in (1, 2) and _are_flags(known):
        other = _SAME.get(str(value), "")
        if other in known.cast(pl.String).to_list():
            value = other if text else int(other)
    return str(value) if text else (value if type(value) is int else None)


def _flags(ids: pl.Series, known: pl.Series) -> pl.Series:
    if not _are_flags(known):
        return ids
    text = ids.cast(pl.String)
    swapped = text.replace_strict(_SAME, default=text, return_dtype=pl.String)
    return swapped.zip_with(swapped.is_in(known.cast(pl.String).to_list()), text)


def _are_flags(known: pl.Series) -> bool:
    names = set(known.cast(pl.String).to_list())
    return names <= {"0", "1"} or names <= {"true", "false"}


def _integers(texts: pl.Series) -> pl.Series:
    """Return the integers that texts spell canonically; null of any other."""
    numbers = texts.cast(pl.Int64, strict=False)
    same = (numbers.cast(pl.String) == texts).fill_null(value=True)
    return numbers if same.all() else numbers.set(~same, None)


def numbers_of(raw: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return numbers as Float64 and which cells are none; a missing value is fine.

    `true` and `false` are 1 and 0, times and durations seconds, and text is what it spells. Narrow
    floats are taken as the shortest decimal that they represent, so that 0.1 is 0.1.

    Raises:
        DataError: the column holds lists or structures.

    """
    kind, there = raw.dtype, raw.is_not_null()
    if kind.is_nested():
        raise DataError(f"column '{raw.name}': expected numbers, got {kind}; declare it a bag, a"
                        " sequence or a vector")  # fmt: skip
    if isinstance(kind, pl.Categorical | pl.Enum | pl.Binary):
        raw = text_of(raw)
    if raw.dtype == pl.String:
        text = raw.str.strip_chars()
        values, there = _spelt(text), there & (text != "")
    elif isinstance(kind, pl.Float32 | pl.Float16):
        # A text in between keeps the decimal: 0.7 of 32 bits is less than 0.7 of 64.
        values = raw.cast(pl.String).cast(pl.Float64, strict=False)
    elif isinstance(kind, pl.Duration):
        values = raw.dt.total_nanoseconds().cast(pl.Float64) / 1e9
    elif not kind.is_numeric() and is_temporal(kind):
        values = time_numbers(raw)
    else:
        values = raw.cast(pl.Float64, strict=False)
    return values, values.is_null() & there


def number_cells(raw: pl.Series) -> Cells:
    """Return the numbers of a column; a cell that is none, or not finite, is bad."""
    values, unreadable = numbers_of(raw)
    bad = unreadable | ~values.is_finite().fill_null(value=True)
    return Cells(values, bad, "a finite number", "repair the cell, leave it empty if unknown")


def floats_of(series: pl.Series) -> NDArray[np.float64]:
    """Return a float series as NumPy; nulls become NaN."""
    return series.fill_null(float("nan")).to_numpy().astype(np.float64)


def _spelt(text: pl.Series) -> pl.Series:
    """Return the numbers that texts spell, null elsewhere."""
    values = text.cast(pl.Float64, strict=False)
    left = (values.is_null() & text.is_not_null()).arg_true()
    if not len(left):
        return values
    rest = text.gather(left)
    flags = rest.str.to_lowercase().replace_strict(
        {"true": 1.0, "false": 0.0}, default=None, return_dtype=pl.Float64
    )
    found = flags.fill_null(time_numbers(rest)) if flags.null_count() else flags
    return values.scatter(left, found)
