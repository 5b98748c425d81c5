"""A vector column: a list of numbers of fixed width per row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from crosstower.recipe.kinds.kind import Column
from crosstower.recipe.kinds.learner import Learner
from crosstower.recipe.kinds.registry import register_column
from crosstower.recipe.kinds.scaled_number import Standardised
from crosstower.values.columns import Cells, floats_of
from crosstower.values.lists import vector_cells
from crosstower.values.moments import Moments


@register_column("vector")
class Vector(Column):
    """A fixed-width list of numbers per row, such as a precomputed embedding.

    >>> image = Vector(width=2, normalise="l2")
    >>> state = image.learner().finish()
    >>> image.coder(state)(pl.Series([[3.0, 4.0]])).tolist()
    [[0.6, 0.8]]
    """

    rank: ClassVar[int] = 1
    State: ClassVar[Any] = Standardised

    kind: Literal["vector"] = "vector"
    width: int = Field(ge=1, description="Number of components of each vector.")
    normalise: Literal["standardise", "l2", "none"] = Field(
        default="standardise",
        description="standardise: by the mean and standard deviation of all components; l2: to unit"
        " length; none: as given.",
    )

    def reader(self) -> Callable[[pl.Series], Cells]:
        """Return the reader of vectors."""
        return partial(vector_cells, width=self.width)

    def learner(self) -> Learner:
        """Return the learner of one mean and one standard deviation of all components."""
        return _VectorLearner(self.normalise == "standardise")

    def inputs(self, name: str, state: Standardised) -> tuple[str, ...]:
        """Return one number per component."""
        return tuple(f"{name}[{i}]" for i in range(self.width))

    def coder(self, state: Standardised) -> Callable[[pl.Series], NDArray[np.float64]]:
        """Return the coder that normalises vectors."""

        def encode(values: pl.Series) -> NDArray[np.float64]:
            x = _matrix(values, self.width)
            if self.normalise == "l2":
                norm = np.linalg.norm(x, axis=1, keepdims=True)
                x = x / np.where(norm > 0, norm, 1.0)
            return state.scale(x)

        return encode


@dataclass
class _VectorLearner:
    standardise: bool
    moments: Moments = field(default_factory=Moments)

    def add(self, values: pl.Series) -> None:
        if self.standardise:
            flat = values.explode(empty_as_null=False, keep_nulls=False)
            self.moments.add(floats_of(flat))

    def merge(self, other: _VectorLearner) -> None:
        self.moments.merge(other.moments)

    def finish(self) -> Standardised:
        return Standardised(mean=self.moments.mean, sd=self.moments.sd)


def _matrix(series: pl.Series, width: int) -> NDArray[np.float64]:
    present = series.is_not_null().to_numpy()
    matrix = np.full((len(series), width), np.nan)
    flat = series.explode(empty_as_null=False, keep_nulls=False)
    matrix[present] = flat.to_numpy().reshape(-1, width)
    return matrix
