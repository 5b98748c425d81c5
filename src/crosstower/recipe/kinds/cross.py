"""A cross: a combination of single-valued columns, hashed into buckets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from crosstower.errors import did_you_mean
from crosstower.recipe.kinds.kind import CodeField, Kind, Reading
from crosstower.recipe.kinds.registry import register_column
from crosstower.values.codes import RESERVED_CODES, Codes
from crosstower.values.hashing import combine


@register_column("cross")
class Cross(Kind):
    """Combination of single-valued columns, hashed into buckets.

    It belongs to the wide side of Wide & Deep; with `dim`, every model embeds it.

    >>> Cross(columns=("country", "device"), hash_buckets=500).inputs("pair", None).size
    503
    """

    rank: ClassVar[int] = 3

    kind: Literal["cross"] = "cross"
    columns: tuple[str, ...] = Field(
        min_length=2,
        description="Two or more categorical or bucketised columns of the schema.",
    )
    hash_buckets: int = Field(
        default=100_000, ge=2, lt=2**31, description="Number of hash buckets, in [2, 2³¹)."
    )
    dim: int | None = Field(
        default=None, ge=1, description="Embedding width (default: only the wide side reads it)."
    )

    @property
    def combines(self) -> tuple[str, ...]:
        """Columns whose codes this one combines."""
        return self.columns

    def sources(self, name: str) -> tuple[str, ...]:
        """Return no data column: a cross reads codes."""
        return ()

    def check(self, name: str, columns: Mapping[str, Kind]) -> None:
        """Raise ValueError if one of the columns has not one code per row."""
        allowed = [n for n, c in columns.items() if c.has_code]
        for part in self.columns:
            if part not in allowed:
                raise ValueError(
                    f"cross '{name}': '{part}' is not a categorical or bucketised"
                    f" column{did_you_mean(part, allowed)}; allowed: {', '.join(allowed)}"
                )

    def readings(self, name: str) -> list[Reading]:
        """Return nothing: a cross has no cells."""
        return []

    def inputs(self, name: str, state: Any) -> CodeField:
        """Return a field with one code per row, of width 0 if only the wide side reads it."""
        return CodeField(name, RESERVED_CODES + self.hash_buckets, name, self.dim or 0)

    def coder(self, state: Any) -> Callable[[Sequence[Codes]], Codes]:
        """Return the coder that hashes the codes of the columns, in their order."""
        buckets = np.uint64(self.hash_buckets)

        def crossed(codes: Sequence[Codes]) -> Codes:
            return (combine(codes) % buckets).astype(np.int32) + RESERVED_CODES

        return crossed
