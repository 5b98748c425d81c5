"""The columns of predictions: there, or an error that names those that are."""

from __future__ import annotations

import polars as pl

from crosstower.data.content_types import ContentTypes
from crosstower.errors import DataError, did_you_mean
from crosstower.values.arrays import Indices


def require(frame: pl.DataFrame, *names: str) -> None:
    """Raise DataError if the predictions lack a column."""
    for name in names:
        if name not in frame.columns:
            raise DataError(
                f"the predictions have no column '{name}'{did_you_mean(name, frame.columns)};"
                f" they have: {', '.join(frame.columns)}"
            )


def rows_of_types(frame: pl.DataFrame, by: str | None) -> dict[str | None, Indices]:
    """Return {type: its rows, ascending}, types in order; None holds the rows without one.

    A type is the text of the value in column `by`, see `ContentTypes`. Empty without `by`.

    Raises:
        DataError: there is no such column, or it holds lists.

    """
    if by is None:
        return {}
    types = types_of(frame, by)
    *typed, (_, rest) = types.rows_of(types.kinds.names)
    missing: dict[str | None, Indices] = {None: rest} if len(rest) else {}
    return missing | dict(typed)


def types_of(frame: pl.DataFrame, by: str) -> ContentTypes:
    """Return the content types in column `by`; DataError if there is none, or it holds lists."""
    values = column(frame, by)
    if values.dtype.is_nested():
        raise DataError(
            f"column '{by}' holds {values.dtype}, expected one type a row; calibrate by a"
            " single-valued column"
        )
    return ContentTypes.of(values)


def column(frame: pl.DataFrame, name: str) -> pl.Series:
    """Return a column of predictions; DataError if there is none."""
    require(frame, name)
    return frame[name]
