"""Restaurants of the shop: names that tell them apart, and hours that fit their tags."""

import polars as pl

from crosstower.cli.play.restaurants import restaurants_on_a_map
from crosstower.data.datasets.worlds.restaurants import restaurant_table


def test_restaurants_have_names_and_hours() -> None:
    table, plain = restaurants_on_a_map(), restaurant_table()
    assert table.height == plain.height
    assert table.select("name", "cuisine").is_unique().all()
    assert table["text"].equals(plain["text"])
    late = pl.col("tags").list.contains("late-night")
    assert table.filter(late)["closes"].is_between(25, 26).all()
    assert table.filter(~late)["closes"].is_between(21, 24).all()
    assert (table["opens"] < table["closes"]).all()
