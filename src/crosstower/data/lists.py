"""Lists of ids to padded code matrices, without a loop over rows."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.tables import Table
from crosstower.layout import PADDING


def pad(lists: pl.Series, table: Table, *, length: int, keep_last: bool) -> NDArray[np.int32]:
    """Return codes `[B, L]`; rows longer than `length` keep their last or first values.

    Null and empty lists are all padding.
    """
    kept = lists.list.tail(length) if keep_last else lists.list.head(length)
    counts = kept.list.len().fill_null(0).to_numpy().astype(np.int64)
    codes = table.encode(kept.explode(empty_as_null=False, keep_nulls=False))
    rows = np.repeat(np.arange(len(lists)), counts)
    starts = np.cumsum(counts) - counts
    places = np.arange(len(codes)) - np.repeat(starts, counts)
    padded = np.full((len(lists), length), PADDING, dtype=np.int32)
    padded[rows, places] = codes
    return padded
