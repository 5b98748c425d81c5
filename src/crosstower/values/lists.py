"""Lists of ids and of numbers, from lists of any type and from text that holds them."""

from __future__ import annotations

import ast
import json
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from crosstower.errors import DataError
from crosstower.values.columns import Cells, ids_of, no_ids, none_bad, text_of

_QUOTED = r"""\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"""
_TOKEN = rf"""{_QUOTED}|[^,\"']+"""
_NUMBERS = r"^[0-9eE+.\s-]+$"
_NOTHING = ["None", "null", "nan", "NaN", "NA", "<NA>"]


def id_lists(raw: pl.Series, separator: str | None) -> tuple[pl.Series, pl.Series]:
    """Return lists of canonical ids, List(Int64) or List(String), and which rows are bad.

    Text is split by `separator`, or holds a list in brackets as JSON and Python write it. A blank
    value is left out.

    Raises:
        DataError: the column holds neither lists nor text.

    """
    lists, bad = _lists_of(raw, separator, "lists")
    flat = lists.explode(empty_as_null=False, keep_nulls=False)
    if flat.dtype == pl.Null:
        flat = flat.cast(pl.String)
    ids = ids_of(flat)
    wrong, blank = no_ids(flat, ids).to_numpy(), (ids.is_null() & flat.is_not_null()).to_numpy()
    if not blank.any():
        same = ids.dtype == flat.dtype and ids.equals(flat, null_equal=True)
        return (lists if same else _rebuilt(lists, ids, ~blank)), bad
    rows = np.repeat(np.arange(len(lists)), _counts(lists))
    bad |= pl.Series(np.bincount(rows[wrong], minlength=len(lists)) > 0)
    return _rebuilt(lists, ids, ~blank), bad


def id_list_cells(raw: pl.Series, separator: str | None) -> Cells:
    """Return lists of canonical ids; a cell that is not a list is bad.

    Raises:
        DataError: the column holds neither lists nor text.

    """
    values, bad = id_lists(raw, separator)
    expected, advice = "a list of ids, integers or texts", "store such lists"
    if separator is None and not isinstance(raw.dtype, pl.List | pl.Array):
        expected = "a list such as [1, 2]"
        advice = "declare separator: '|' (or the actual separator)"
    return Cells(values, bad, expected, advice)


def age_cells(raw: pl.Series) -> Cells:
    """Return lists of whole seconds from the events of a history to its row; a null is not a list.

    A list is bad if an age is missing or negative, or the oldest event is not the first.
    """
    if raw.dtype == pl.Null:
        return Cells(raw.cast(pl.List(pl.Int64)), none_bad(len(raw)), "", "")
    ages = raw.cast(pl.List(pl.Int64))
    element = pl.element()
    wrong = element.is_null() | (element < 0) | (element.diff() > 0)
    bad = ages.list.eval(wrong.fill_null(value=False)).list.any().fill_null(value=False)
    expected = (
        "the ages of the events of a history, in seconds before the row: of every value, none"
        " after the time of the row, and the oldest first"
    )
    return Cells(ages, bad, expected, "repair the list of times")


def plain_lists(raw: pl.Series, separator: str | None) -> pl.Series:
    """Return lists of any values; text is split by `separator`, or holds a list in brackets.

    Raises:
        DataError: the column holds neither lists nor text.

    """
    return _lists_of(raw, separator, "lists")[0]


def vector_cells(raw: pl.Series, width: int) -> Cells:
    """Return lists of `width` finite numbers; any other cell is bad.

    Raises:
        DataError: the column holds neither lists nor text.

    """
    values = number_lists(raw, width)
    finite = values.list.eval(pl.element().is_finite().fill_null(value=False)).list.all()
    bad = ((values.list.len() != width) | ~finite).fill_null(value=False)
    bad |= values.is_null() & raw.is_not_null()
    return Cells(values, bad, f"{width} finite numbers", "set width, repair the cell")


def number_lists(raw: pl.Series, width: int) -> pl.Series:
    """Return lists of Float64; a row that is none becomes null.

    Raises:
        DataError: the column holds neither lists nor text.

    """
    lists, _ = _lists_of(raw, None, f"lists of {width} numbers")
    return lists.cast(pl.List(pl.Float64), strict=False)


def _lists_of(raw: pl.Series, separator: str | None, expected: str) -> tuple[pl.Series, pl.Series]:
    kind = raw.dtype
    if isinstance(kind, pl.List | pl.Array):
        return raw.cast(pl.List(cast("Any", kind.inner))), none_bad(len(raw))
    if kind == pl.Null:  # no row has one
        return raw.cast(pl.List(pl.String)), none_bad(len(raw))
    text = isinstance(kind, pl.String | pl.Categorical | pl.Enum)
    if not text and (separator is None or kind.is_nested()):
        raise DataError(
            f"column '{raw.name}': expected {expected}, got {kind}; store lists, or declare"
            " separator: '|' for text that holds several values"
        )
    return _split(raw.cast(pl.String) if text else text_of(raw), separator)


def _split(raw: pl.Series, separator: str | None) -> tuple[pl.Series, pl.Series]:
    """Return the values of texts, and which texts are not a list."""
    text = raw.str.strip_chars()
    bracketed = text.str.starts_with("[") & text.str.ends_with("]")
    if separator is not None and separator.strip() not in ("", ","):
        bracketed &= ~text.str.contains(separator, literal=True)
    bracketed = bracketed.fill_null(value=False)
    if separator is None:
        lists = pl.Series(raw.name, [None], dtype=pl.List(pl.String)).new_from_index(0, len(raw))
        bad = (text != "").fill_null(value=False) & ~bracketed
    else:
        element = pl.element().str.strip_chars()
        lists = text.str.split(separator).list.eval(element.filter(element != ""))
        bad = none_bad(len(raw))
    if not bracketed.any():
        return lists, bad
    parsed = _literals(text.set(~bracketed, None))
    return parsed.zip_with(bracketed, lists), bad | (parsed.is_null() & bracketed)


def _literals(text: pl.Series) -> pl.Series:
    """Return the elements of lists in brackets as text; null where they hold lists themselves."""
    inner = text.str.strip_prefix("[").str.strip_suffix("]")
    numbers = inner.str.contains(_NUMBERS).fill_null(value=False)  # as NumPy prints them
    inner = inner.str.strip_chars().str.replace_all(r"\s+", ",").zip_with(numbers, inner)
    token = pl.element().str.strip_chars()
    quoted = token.str.contains(r"""^[\"'].*[\"']$""")
    value = (
        pl.when(quoted)
        .then(token.str.slice(1, token.str.len_chars() - 2))
        .when(~token.is_in(_NOTHING))
        .then(token)
    )
    lists = inner.str.extract_all(_TOKEN).list.eval(value.filter(token != ""))
    nested = inner.str.replace_all(_QUOTED, "").str.contains(r"[\[\]{}()]")
    return _exact(text, lists, nested.fill_null(value=False))


def _exact(text: pl.Series, lists: pl.Series, nested: pl.Series) -> pl.Series:
    """Return lists with those that hold escapes read one by one, and no nested ones."""
    escaped = text.str.contains("\\", literal=True).fill_null(value=False)
    if not (escaped | nested).any():
        return lists
    found = lists.to_list()
    for row in (escaped | nested).arg_true().to_list():
        found[row] = None if nested[row] else _evaluated(text[row])
    return pl.Series(text.name, found, dtype=pl.List(pl.String))


def _evaluated(text: str) -> list[str | None] | None:
    for read in (json.loads, ast.literal_eval):
        try:
            values = cast("list[Any]", read(text))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return [None if v is None else str(v) for v in values]
    return None


def _rebuilt(lists: pl.Series, flat: pl.Series, kept: NDArray[np.bool_]) -> pl.Series:
    """Return lists of the kept ones among new elements."""
    rows = np.repeat(np.arange(len(lists)), _counts(lists))
    counts = np.bincount(rows[kept], minlength=len(lists))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int64())
    missing = pa.array(lists.is_null().to_numpy())
    values = flat.filter(pl.Series(kept)).to_arrow()
    return pl.Series(
        lists.name, pl.from_arrow(pa.LargeListArray.from_arrays(offsets, values, mask=missing))
    )


def _counts(lists: pl.Series) -> NDArray[np.int64]:
    return lists.list.len().fill_null(0).to_numpy().astype(np.int64)
