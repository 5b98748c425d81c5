"""The retrieval score and the sources of candidates, as columns of a ranker.

Training rows get these columns from `retrieval_features`, candidates from the funnel or the server,
all by the functions here. Shapes: C candidates, D width of a vector, S sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from crosstower.errors import RunError
from crosstower.retrieval.retriever import Retriever
from crosstower.values.arrays import Indices

SCORE = "retrieval.score"
"""Data column of the inner product of the vectors of query and item."""

SOURCES = "retrieval.sources"
"""Data column of the names of the sources that found the item within their quotas."""

RETRIEVED = (SCORE, SOURCES)


def read_columns(needed: Iterable[str], retriever: Retriever) -> tuple[str, ...]:
    """Return which of the columns are those of retrieval.

    Args:
        needed: data columns that a ranker reads.
        retriever: of the funnel.

    Raises:
        RunError: a ranker reads sources, but the retriever has none.

    """
    read = tuple(name for name in RETRIEVED if name in set(needed))
    if SOURCES in read and retriever.sources is None:
        raise RunError(
            f"{retriever.run.folder}: its recipe has no sources, but the ranker reads"
            f" {SOURCES}; add sources to the retrieval recipe, or train the ranker without the"
            " column"
        )
    return read


def score_column(
    queries: NDArray[np.float32], items: NDArray[np.float32], known: NDArray[np.bool_]
) -> pl.Series:
    """Return the inner products of queries and items; null for a query without data.

    A product does not depend on the other rows.

    >>> one, two = np.array([[1.0, 2.0]], np.float32), np.array([[3.0, 4.0]], np.float32)
    >>> score_column(one, two, np.array([True])).to_list()
    [11.0]

    Args:
        queries: `[C, D]`, or `[1, D]` for one query of all items.
        items: `[C, D]`.
        known: `[C]`.

    """
    products = (items.astype(np.float64) * queries).sum(axis=1)
    return pl.Series(SCORE, products).set(pl.Series(~known), None)


def source_column(ranks: Indices, quotas: Mapping[str, int]) -> pl.Series:
    """Return the names of the sources that found each item within their quotas.

    More candidates than the sum of the quotas make all quotas grow; what is found beyond the quotas
    of the recipe does not count here.

    >>> source_column(np.array([[1, 0], [3, 1], [0, 0]]), {"two_tower": 2, "popular": 1}).to_list()
    [['two_tower'], ['popular'], []]

    Args:
        ranks: `[C, S]` in each source, from 1; 0 where it has not found the item.
        quotas: of the sources, by name.

    """
    within = (ranks > 0) & (ranks <= np.array(list(quotas.values()), dtype=np.int64))
    row, source = np.nonzero(within)
    names = pl.Series(np.array(list(quotas), dtype=np.str_)[source].tolist(), dtype=pl.String)
    ends = np.searchsorted(row, np.arange(len(ranks) + 1)).astype(np.int64)
    values = names.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pl.Series(SOURCES, pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(ends), values)))
