"""The canonical id of one Python value, as requests hold it; without data frames."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import polars as pl

from crosstower.errors import DataError, QueryError
from crosstower.values.instants import time_ids

Id = int | str

LOW, HIGH = -(2**63), 2**63
EXACT = 2**53
"""Floats of this size may represent several integers."""

# The white space of Unicode, as Rust's regular expressions have it.
SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]{0,18})\Z")
WHOLE = r"^-?(?:0|[1-9][0-9]{0,14})\.0+$|^-0$"
BOOLEAN = r"^(?i:true|false)$"
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"
_WHOLE_TEXT, _BOOLEAN_TEXT, _MOMENT_TEXT = map(re.compile, (WHOLE, BOOLEAN, MOMENT))
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def id_of(value: Any) -> Id | None:
    """Return the canonical id of a Python value, None if it is missing.

    >>> [id_of(v) for v in (7, 7.0, "7", " 7.0", "007", True, "True", b"ab", "", None)]
    [7, 7, 7, 7, '007', 'true', 'true', 'ab', None, None]

    Raises:
        DataError: it is not a single value, or a number that cannot be an id.

    """
    if type(value) is int:
        return value if LOW <= value < HIGH else str(value)
    if type(value) is str:
        return _id_of_text(value)
    return _id_of_other(value)


def given_id(name: str, value: Any) -> Id:
    """Return the canonical id of a value of a request; `name` is its name in messages.

    Raises:
        QueryError: it is empty, or cannot be an id.

    """
    try:
        found = id_of(value)
    except DataError as error:
        raise QueryError(f"{name}: {error}") from None
    if found is None:
        raise QueryError(f"{name}: expected an id, an integer or a text, got {value!r}")
    return found


def id_series(ids: Sequence[Id | None]) -> pl.Series:
    """Return canonical ids as a series, of text if one is text."""
    if any(type(i) is str for i in ids):
        return pl.Series([None if i is None else str(i) for i in ids], dtype=pl.String)
    return pl.Series(ids, dtype=pl.Int64)


def text_of_value(value: Any) -> str | None:
    """Return the canonical text of a Python value, fractions included; None if it is missing.

    Raises:
        DataError: it is not a single value.

    """
    if isinstance(value, Decimal | Real) and not isinstance(value, Integral | bool):
        fraction = _fraction(value)
        if fraction is not None:
            return fraction
    found = id_of(value)
    return None if found is None else str(found)


def _fraction(value: Any) -> str | None:
    """Return the text of a number that is not an id; None of any other."""
    number = float(value)
    if number != number:  # noqa: PLR0124 - NaN
        return None
    if number.is_integer() and abs(number) < EXACT:
        return None
    return f"{value.normalize():f}" if isinstance(value, Decimal) else repr(number)


def _id_of_text(text: str) -> Id | None:
    text = text.strip(SPACE)
    if not text:
        return None
    if text[0] in "0123456789-":
        if _INTEGER.match(text):
            number = int(text)
            return number if LOW <= number < HIGH else text
        if _WHOLE_TEXT.match(text):
            return int(text.partition(".")[0])
        if _MOMENT_TEXT.match(text):
            return str(time_ids(pl.Series([text]))[0])
    elif text[-1] in "eE" and _BOOLEAN_TEXT.match(text):
        return text.lower()
    return text


def _id_of_other(value: Any) -> Id | None:
    if hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()  # of NumPy
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    for kind, found in _KINDS:
        if isinstance(value, kind):
            return found(value)
    raise DataError(
        f"expected an id, an integer or a text, got {value!r} of type {type(value).__name__}"
    )


def _id_of_number(value: Any) -> Id | None:
    if value != value:  # noqa: PLR0124 - NaN is a missing value of pandas
        return None
    if isinstance(value, Decimal):
        if value.is_finite() and value == value.to_integral_value():
            return id_of(int(value))
    elif float(value).is_integer() and abs(value) < EXACT:
        return int(value)
    raise DataError(
        f"expected an id, an integer or a text, got {value!r}; store ids as integers or text, as"
        " floating-point numbers round them"
    )


def text_of_bytes(value: bytes | bytearray) -> str:
    """Return UTF-8 as its text, any other bytes in hexadecimal digits."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return value.hex() if _CONTROL.search(text) else text


def _text_of_time(value: dt.date | dt.time) -> str:
    if isinstance(value, dt.datetime):
        return str(time_ids(pl.Series([value]))[0])
    return value.isoformat()


_KINDS: tuple[tuple[Any, Callable[[Any], Id | None]], ...] = (
    (bool, lambda value: "true" if value else "false"),
    (Integral, lambda value: id_of(int(value))),
    (Real | Decimal, _id_of_number),
    (str, lambda value: _id_of_text(str(value))),
    (bytes | bytearray, lambda value: _id_of_text(text_of_bytes(value))),
    (uuid.UUID, str),
    (dt.date | dt.time, _text_of_time),
)
