"""Positions of ids in a list of known ones."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.values.columns import ids_of, matched


def places_of_ids(known: pl.Series, ids: pl.Series) -> NDArray[np.int64]:
    """Return the place of each id in `known`, which holds each canonical id once; -1 if unknown.

    >>> places_of_ids(pl.Series([8, 7]), pl.Series(["7", "007", None])).tolist()
    [1, -1, -1]

    Raises:
        DataError: the ids are lists or structures.

    """
    return places_in(known, matched(ids_of(ids), known))


def places_in(known: pl.Series, values: pl.Series) -> NDArray[np.int64]:
    """Return the place of each value in `known`, which holds each once; -1 if it is missing.

    >>> places_in(pl.Series(["b", "a"]), pl.Series(["a", "c", None])).tolist()
    [1, -1, -1]
    """
    wanted = pl.DataFrame({"id": values.cast(known.dtype, strict=False)})
    table = pl.DataFrame({"id": known, "place": np.arange(len(known))})
    found = wanted.join(table, on="id", how="left", maintain_order="left")["place"]
    return found.fill_null(-1).to_numpy().astype(np.int64)
