"""Columns that blending reads: predictions, labels, amounts, content types, checked once here.

A frame has a column `TASK__prediction` and, if labels are known, a column `TASK`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.content_types import type_text
from crosstower.errors import DataError, did_you_mean
from crosstower.values.arrays import Floats

_SHOWN = 5


def column_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """Return a single-valued column.

    Raises:
        DataError: it is missing, or has lists.

    """
    if name not in frame.columns:
        raise DataError(
            f"blend: the rows have no column '{name}'{did_you_mean(name, frame.columns)}; they"
            f" have: {', '.join(frame.columns)}"
        )
    if frame[name].dtype.is_nested():
        raise DataError(
            f"blend: column '{name}' holds {frame[name].dtype}, expected one value per row; name a"
            " single-valued column"
        )
    return frame[name]


def numbers_of(frame: pl.DataFrame, name: str) -> Floats:
    """Return a column as numbers `[rows]`, NaN where missing.

    Raises:
        DataError: it is missing, or has no numbers.

    """
    column = column_of(frame, name)
    if not (column.dtype.is_numeric() or isinstance(column.dtype, pl.Boolean | pl.Null)):
        raise DataError(f"blend: column '{name}' holds {column.dtype}, expected numbers")
    numbers = column.cast(pl.Float64)
    return (numbers.fill_null(float("nan")) if numbers.null_count() else numbers).to_numpy()


def predictions_of(frame: pl.DataFrame, task: str, *, probabilities: bool = False) -> Floats:
    """Return the predictions of a task `[rows]`, all finite.

    Raises:
        DataError: they are missing, not finite, or not probabilities although required.

    """
    x = numbers_of(frame, f"{task}__prediction")
    return checked_predictions(x, task, probabilities=probabilities)


def checked_predictions(x: Floats, task: str, *, probabilities: bool = False) -> Floats:
    """Return predictions `[rows]` that can be blended.

    Raises:
        DataError: they are not finite, or not probabilities although required.

    """
    name = f"task '{task}'"
    refuse(~np.isfinite(x), x, f"{name}: expected a finite prediction")
    if probabilities:
        rule = f"{name}: logit and probit need a probability in [0, 1]; use percentile for others"
        refuse((x < 0.0) | (x > 1.0), x, rule)
    return x


def amounts_of(frame: pl.DataFrame, name: str) -> Floats:
    """Return a column of amounts `[rows]`, such as bids or prices: finite, 0 or more.

    Raises:
        DataError: the column is missing, or a value is missing, negative or infinite.

    """
    x = numbers_of(frame, name)
    rule = f"column '{name}': expected an amount of 0 or more"
    advice = "; fill missing and negative amounts, or drop those rows"
    refuse(~(np.isfinite(x) & (x >= 0.0)), x, rule, advice)
    return x


def types_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """Return a column of content types as text `[rows]`, null where missing; see `type_text`."""
    return type_text(column_of(frame, name)).rename("type")


def most_rows_first(counts: Mapping[str | None, int]) -> Counter[str | None]:
    """Return row counts by type, sorted by falling count, then by name, a missing type last."""
    order = sorted(counts, key=lambda kind: (-counts[kind], kind is None, kind or ""))
    return Counter({kind: counts[kind] for kind in order})


def named_types(counts: Mapping[str | None, int]) -> str:
    """Return the types with most rows as text, at most five.

    >>> named_types({None: 3, "ad": 1200})
    "'ad' (1,200), missing (3)"
    """
    pairs = list(most_rows_first(counts).items())[:_SHOWN]
    named = ("missing" if kind is None else f"'{kind}'" for kind, _ in pairs)
    shown = (f"{name} ({rows:,})" for name, (_, rows) in zip(named, pairs, strict=True))
    more = f" and {len(counts) - _SHOWN:,} more" if len(counts) > _SHOWN else ""
    return ", ".join(shown) + more


def refuse(wrong: NDArray[np.bool_], values: NDArray[Any], rule: str, advice: str = "") -> None:
    """Raise a DataError if any value is wrong: `rule`, the first one and its row, `advice`."""
    if bool(wrong.any()):
        row = int(wrong.argmax())
        count = f"{int(wrong.sum())} such rows"
        raise DataError(f"{rule}, got {values[row]} in row {row}, {count}{advice}")
