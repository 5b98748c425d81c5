"""Restaurants: ratings of visits, and texts that describe the catalogue."""

import polars as pl

from crosstower.data.datasets.worlds import make
from crosstower.data.datasets.worlds.rentals import listings
from crosstower.data.datasets.worlds.restaurants import restaurant_table

ROWS = 100_000


def test_ratings_come_with_visits_only() -> None:
    frame = make("restaurants", rows=ROWS).frame
    assert frame.filter(pl.col("visit") == 0)["rating"].null_count() == (frame["visit"] == 0).sum()
    ratings = frame.filter(pl.col("visit") == 1)["rating"]
    assert ratings.null_count() == 0
    assert set(ratings.unique()) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_catalogues_stay_the_same_and_describe_themselves() -> None:
    assert listings().equals(listings())
    assert restaurant_table().equals(restaurant_table())
    vegan = restaurant_table().filter(pl.col("tags").list.contains("vegan"))
    assert vegan["text"].str.contains("vegan").all()
