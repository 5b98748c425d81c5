"""The candidates that take part in a draw, and the options that all kinds of exploration share."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from crosstower.recipe.frozen import FrozenModel
from crosstower.values.arrays import Floats, Indices


@dataclass(frozen=True)
class Pool:
    """Candidates of a draw, best first.

    Args:
        score: `[n]` final scores in falling order, finite.
        rows: `[n]` number of training rows of each item; 0 for an item that is newer.

    """

    score: Floats
    rows: Indices

    def __len__(self) -> int:
        """Return n, the number of candidates."""
        return len(self.score)


class DrawOptions(FrozenModel):
    """Options of every kind of exploration."""

    top: int = Field(
        default=50,
        ge=1,
        le=200,
        description="Number of best candidates that take part; the others keep their places.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=2**63 - 1,
        description="Seed of the draw, for tests; null draws a new order for each request.",
    )
