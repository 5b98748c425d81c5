"""Lists of ids to lists of codes, without a loop over rows."""

from __future__ import annotations

import numpy as np
import polars as pl

from crosstower.data.ragged import Ragged
from crosstower.values.tables import Table


def list_codes(lists: pl.Series, table: Table, *, length: int, keep_last: bool) -> Ragged:
    """Return the codes of B lists; those longer than `length` keep their last or first values.

    A null is an empty list.
    """
    kept = lists.list.tail(length) if keep_last else lists.list.head(length)
    counts = kept.list.len().fill_null(0).to_numpy().astype(np.int64)
    codes = table.encode(kept.explode(empty_as_null=False, keep_nulls=False))
    return Ragged.of(codes, counts, length)
