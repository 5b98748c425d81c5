"""A bag: an unordered set of values per row."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crosstower.recipe.kinds.id_lists import ListColumn
from crosstower.recipe.kinds.registry import register_column


@register_column("bag")
class Bag(ListColumn):
    """An unordered set of values per row, such as genres or amenities.

    The data has a list, or text that `separator` splits.

    >>> import polars as pl
    >>> tags = pl.Series("tags", ["vegan|late", "late", None])
    >>> Bag(separator="|").reader()(tags).values.to_list()
    [['vegan', 'late'], ['late'], None]
    """

    kind: Literal["bag"] = "bag"
    max_len: int | None = Field(
        default=None,
        ge=1,
        description="Number of first values to keep, L (default: the longest training row).",
    )
    pooling: Literal["mean", "sum", "max"] = Field(
        default="mean",
        description="How embeddings `[L, D]` become one vector `[D]`: mean, sum or max.",
    )
