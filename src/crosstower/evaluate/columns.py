"""The columns of predictions: there, or an error that names those that are."""

from __future__ import annotations

import polars as pl

from crosstower.errors import DataError, did_you_mean


def require(frame: pl.DataFrame, *names: str) -> None:
    """Raise DataError if the predictions lack a column."""
    for name in names:
        if name not in frame.columns:
            raise DataError(
                f"the predictions have no column '{name}'{did_you_mean(name, frame.columns)};"
                f" they have: {', '.join(frame.columns)}"
            )
