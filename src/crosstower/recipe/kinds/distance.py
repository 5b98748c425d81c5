"""A distance column: kilometres between two places of a row."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from crosstower.recipe.kinds.kind import Kind, Reading
from crosstower.recipe.kinds.learner import Learner
from crosstower.recipe.kinds.numeric import (
    FittedNumber,
    NumberLearner,
    Numeric,
    Ranked,
    Standardised,
    number_encoder,
    number_names,
)
from crosstower.recipe.kinds.registry import register_column
from crosstower.recipe.own_columns import place_name
from crosstower.values.columns import Cells, none_bad, number_cells
from crosstower.values.geography import haversine_km

_LIMITS = (90, 180, 90, 180)  # degrees


@register_column("distance")
class Distance(Kind):
    """Distance in km on the surface of the earth, such as from a user to a restaurant.

    It is a number like `numeric`; a missing coordinate makes it missing.
    """

    State: ClassVar[Any] = FittedNumber

    kind: Literal["distance"] = "distance"
    origin: tuple[str, str] = Field(
        description="Data columns of the first latitude and longitude, in degrees."
    )
    to: tuple[str, str] = Field(
        description="Data columns of the second latitude and longitude, in degrees."
    )
    transform: Literal["standardise", "log1p", "quantile", "none"] = "log1p"

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the data columns of both places."""
        return (*self.origin, *self.to)

    def readings(self, name: str) -> list[Reading]:
        """Return how the four coordinates are read, and the distance is made of them."""
        places = [
            Reading(place_name(name, number), source, partial(_degrees, limit=limit))
            for number, (source, limit) in enumerate(zip(self.sources(name), _LIMITS, strict=True))
        ]
        return [*places, Reading(name, name, _kilometres, tuple(place.name for place in places))]

    def learner(self) -> Learner:
        """Return what learns the scale or the quantiles."""
        return NumberLearner(Numeric(transform=self.transform))

    def inputs(self, name: str, state: Standardised | Ranked) -> tuple[str, ...]:
        """Return the number and its indicator."""
        return number_names(name, state)

    def coder(self, state: Standardised | Ranked) -> Callable[[pl.Series], NDArray[np.float64]]:
        """Return what scales distances."""
        return number_encoder(state)


def _degrees(raw: pl.Series, limit: int) -> Cells:
    number = number_cells(raw)
    outside = (number.values.abs() > limit).fill_null(value=False)
    expected = f"degrees from -{limit} to {limit}"
    advice = "give latitude and longitude in that order"
    return Cells(number.values, number.bad | outside, expected, advice)


def _kilometres(*places: pl.Series) -> Cells:
    lits = [pl.lit(place) for place in places]
    km = pl.select(haversine_km((lits[0], lits[1]), (lits[2], lits[3]))).to_series()
    return Cells(km, none_bad(len(km)), "kilometres", "repair it")
