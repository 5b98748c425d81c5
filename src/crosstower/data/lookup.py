"""Where ids stand in a list of known ones."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray


def places_in(known: pl.Series, ids: pl.Series) -> NDArray[np.int64]:
    """Return the place of each id in `known`, which holds each once; -1 where it is not there.

    Ids of another type are compared as ids of the type of `known`.

    >>> places_in(pl.Series(["b", "a"]), pl.Series(["a", "c", None])).tolist()
    [1, -1, -1]
    """
    asked = pl.DataFrame({"id": ids.cast(known.dtype, strict=False)})
    table = pl.DataFrame({"id": known, "place": np.arange(len(known))})
    found = asked.join(table, on="id", how="left", maintain_order="left")["place"]
    return found.fill_null(-1).to_numpy().astype(np.int64)
