"""Distances on the earth, as polars expressions."""

from __future__ import annotations

import polars as pl

EARTH_RADIUS_KM = 6371.0088
"""Mean radius (IUGG)."""

Place = tuple[pl.Expr, pl.Expr]


def haversine_km(one: Place, other: Place) -> pl.Expr:
    """Return the great-circle distance of two (latitude, longitude) in degrees, in km.

    hav(d/R) = hav(φ₂ − φ₁) + cos φ₁ · cos φ₂ · hav(λ₂ − λ₁) with hav(x) = sin²(x/2); exact on a
    sphere, within 0.5 % on the earth. Null where a coordinate is.

    >>> paris, london = (48.8566, 2.3522), (51.5074, -0.1278)
    >>> distance = haversine_km(*(tuple(map(pl.lit, place)) for place in (paris, london)))
    >>> round(pl.select(distance).item())
    344
    """
    latitudes, longitudes = (one[0].radians(), other[0].radians()), (one[1], other[1])
    north = ((latitudes[1] - latitudes[0]) / 2).sin() ** 2
    east = ((longitudes[1] - longitudes[0]).radians() / 2).sin() ** 2
    square = north + latitudes[0].cos() * latitudes[1].cos() * east
    return 2 * EARTH_RADIUS_KM * square.clip(0.0, 1.0).sqrt().arcsin()
