"""A distance column: kilometres between two places of a row."""

from __future__ import annotations

from functools import partial
from typing import Literal

import polars as pl
from pydantic import Field

from crosstower.recipe.kinds.kind import Reading
from crosstower.recipe.kinds.registry import register_column
from crosstower.recipe.kinds.scaled_number import Number, Transform
from crosstower.recipe.own_columns import part_name
from crosstower.values.columns import Cells, none_bad, number_cells
from crosstower.values.geography import haversine_km

_LIMITS = (90, 180, 90, 180)  # degrees


@register_column("distance")
class Distance(Number):
    """Distance in km on the surface of the earth, such as from a user to a restaurant.

    It is a number like `numeric`; a missing coordinate makes it missing.

    >>> Distance(origin=("lat", "lon"), to=("shop_lat", "shop_lon")).sources("km_to_shop")
    ('lat', 'lon', 'shop_lat', 'shop_lon')
    """

    kind: Literal["distance"] = "distance"
    origin: tuple[str, str] = Field(
        description="Data columns of the first latitude and longitude, in degrees."
    )
    to: tuple[str, str] = Field(
        description="Data columns of the second latitude and longitude, in degrees."
    )
    transform: Transform = "log1p"

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the data columns of both places."""
        return (*self.origin, *self.to)

    def readings(self, name: str) -> list[Reading]:
        """Return how the four coordinates are read and combined into a distance."""
        places = [
            Reading(part_name(name, number), source, partial(_degrees, limit=limit))
            for number, (source, limit) in enumerate(zip(self.sources(name), _LIMITS, strict=True))
        ]
        return [*places, Reading(name, name, _kilometres, tuple(place.name for place in places))]


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
