"""A numeric column: a number of the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import polars as pl

from crosstower.recipe.kinds.kind import Column
from crosstower.recipe.kinds.registry import register_column
from crosstower.recipe.kinds.scaled_number import Bucketised, Number, QuantileRanked, Standardised
from crosstower.values.columns import Cells, number_cells
from crosstower.values.ids import HIGH, LOW


@register_column("numeric")
class Numeric(Number, Column):
    """One number per row.

    `standardise` subtracts the training mean and divides by the standard deviation. `log1p`
    standardises sign(x)·log(1+|x|). `quantile` maps to the training quantile, scaled to mean 0
    and variance 1. `bucketise` maps to one of `buckets` quantile ranges (or ranges between
    `boundaries`), embedded like a category. `none` keeps the number. A missing number becomes the
    mean and sets an indicator.

    >>> age = Numeric()
    >>> learner = age.learner()
    >>> learner.add(pl.Series([20.0, 40.0]))
    >>> age.coder(learner.finish())(pl.Series([20.0, 30.0, 40.0])).tolist()
    [[-1.0], [0.0], [1.0]]
    """

    kind: Literal["numeric"] = "numeric"

    def reader(self) -> Callable[[pl.Series], Cells]:
        """Return the reader of numbers."""
        return number_cells

    def value_coder(
        self, state: Standardised | QuantileRanked | Bucketised
    ) -> Callable[[Any], int | tuple[float, ...] | None]:
        """Return a function that scales one number, or finds its range."""

        def encode(value: Any) -> int | tuple[float, ...] | None:
            if value is None:
                x = np.array([math.nan])
            elif (type(value) is float and math.isfinite(value)) or (
                type(value) is int and LOW <= value < HIGH
            ):
                x = np.array([float(value)])
            else:
                return None
            if isinstance(state, Bucketised):
                return int(state.encode(x)[0])
            scaled = float(state.scale(x)[0])
            return (scaled, float(value is None)) if state.had_missing else (scaled,)

        return encode
