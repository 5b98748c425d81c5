import math

import polars as pl
import pytest

from crosstower.values.geography import EARTH_RADIUS_KM, haversine_km


def distance(one: tuple[float | None, float | None], other: tuple[float, float]) -> float | None:
    places = [tuple(pl.lit(v, dtype=pl.Float64) for v in place) for place in (one, other)]
    return pl.select(haversine_km(places[0], places[1])).item()


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        ((0, 0), (0, 1), EARTH_RADIUS_KM * math.pi / 180),
        ((90, 0), (-90, 77), EARTH_RADIUS_KM * math.pi),
        ((0, 179.5), (0, -179.5), EARTH_RADIUS_KM * math.pi / 180),
        ((48.85, 2.35), (48.85, 2.35), 0.0),
    ],
)
def test_distances_that_are_known(one: tuple, other: tuple, km: float) -> None:
    assert distance(one, other) == pytest.approx(km, rel=1e-9, abs=1e-9)


def test_it_is_the_law_of_cosines_on_a_sphere() -> None:
    (a, b), (c, d) = (48.86, 2.35), (40.71, -74.0)
    f, g = math.radians(a), math.radians(c)
    cosine = math.sin(f) * math.sin(g) + math.cos(f) * math.cos(g) * math.cos(math.radians(d - b))
    assert distance((a, b), (c, d)) == pytest.approx(EARTH_RADIUS_KM * math.acos(cosine), rel=1e-9)


def test_a_missing_coordinate_gives_no_distance() -> None:
    assert distance((None, 2.0), (1.0, 1.0)) is None
