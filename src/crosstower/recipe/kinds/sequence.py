"""A sequence: an ordered history per row."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from crosstower.recipe.kinds.lists import ListColumn, Pooling
from crosstower.recipe.kinds.registry import register_column


@register_column("sequence")
class Sequence(ListColumn):
    """An ordered history per row, oldest first; the last `max_len` values are kept.

    `attention` is one transformer block read at the last value, and `gru` a recurrent layer; mean,
    sum and max ignore the order.
    """

    keep_last: ClassVar[bool] = True

    kind: Literal["sequence"] = "sequence"
    max_len: int = Field(default=50, ge=1)
    pooling: Pooling = "mean"
