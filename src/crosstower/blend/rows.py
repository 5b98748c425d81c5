"""What blending reads of a frame: predictions, labels, amounts, content types. Checked here, once.

A frame has a column `TASK__prediction` and, where labels are known, a column `TASK`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError, did_you_mean

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def column_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """Return a single-valued column.

    Raises:
        DataError: it is missing, or holds lists.

    """
    if name not in frame.columns:
        raise DataError(
            f"blend: the rows have no column '{name}'{did_you_mean(name, frame.columns)}; they"
            f" have: {', '.join(frame.columns)}"
        )
    if frame[name].dtype.is_nested():
        raise DataError(
            f"blend: column '{name}' holds {frame[name].dtype}, expected one value a row; name a"
            " single-valued column"
        )
    return frame[name]


def numbers_of(frame: pl.DataFrame, name: str) -> Floats:
    """Return a column as numbers `[rows]`, NaN where missing.

    Raises:
        DataError: it is missing, or holds no numbers.

    """
    column = column_of(frame, name)
    if not (column.dtype.is_numeric() or isinstance(column.dtype, pl.Boolean | pl.Null)):
        raise DataError(f"blend: column '{name}' holds {column.dtype}, expected numbers")
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def predictions_of(frame: pl.DataFrame, task: str, *, probabilities: bool = False) -> Floats:
    """Return the predictions of a task `[rows]`, all finite.

    Raises:
        DataError: they are missing, not finite, or no probabilities where those are needed.

    """
    x, name = numbers_of(frame, f"{task}__prediction"), f"task '{task}'"
    refuse(~np.isfinite(x), x, f"{name}: expected a finite prediction")
    if probabilities:
        rule = f"{name}: logit and probit need a probability in [0, 1]; use percentile for others"
        refuse((x < 0.0) | (x > 1.0), x, rule)
    return x


def amounts_of(frame: pl.DataFrame, name: str) -> Floats:
    """Return a column of amounts `[rows]`, such as bids or prices: finite, 0 or more.

    Raises:
        DataError: the column is missing, or a number of it is.

    """
    x = numbers_of(frame, name)
    refuse(~(np.isfinite(x) & (x >= 0.0)), x, f"column '{name}': expected an amount of 0 or more")
    return x


def types_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """Return a column of content types as text `[rows]`, null where missing."""
    return column_of(frame, name).cast(pl.String).rename("type")


def rows_by_type(types: pl.Series, known: Iterable[str]) -> list[tuple[str | None, Places]]:
    """Return the row numbers of each known type, then under None those of all other rows."""
    table = pl.DataFrame({"type": types}).with_row_index("row")
    mine = pl.col("type").is_in(list(known)).fill_null(value=False)
    groups = table.filter(mine).group_by("type", maintain_order=True).agg("row")
    found: list[tuple[str | None, Places]] = [
        (kind, rows.to_numpy()) for kind, rows in zip(groups["type"], groups["row"], strict=True)
    ]
    return [*found, (None, table.filter(~mine)["row"].to_numpy())]


def refuse(wrong: NDArray[np.bool_], values: NDArray[Any], rule: str) -> None:
    """Raise a DataError with `rule`, the first wrong value and its row, if any value is wrong."""
    if bool(wrong.any()):
        row = int(wrong.argmax())
        raise DataError(f"{rule}, got {values[row]} in row {row}, {int(wrong.sum())} such rows")
