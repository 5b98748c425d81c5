"""The worlds that `crosstower play` can train a shop on, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from crosstower.cli.play.homes import shop_homes
from crosstower.cli.play.restaurants import restaurants_on_a_map, shop_restaurants
from crosstower.data.datasets import worlds
from crosstower.data.datasets.worlds.holiday_searches import homes_on_a_map
from crosstower.recipe.recipe import Recipe

_FORGOTTEN, _NEW = 1 / 3, 1 / 2


@dataclass(frozen=True)
class ShopWorld:
    """A world with a shop.

    Args:
        words: noun for the items of the shop.
        world: name of the simulator.
        rows: number of impressions.
        items: returns the catalogue.
        recipes: returns the recipes of retrieval and ranking, for the files of rows and items.
        optional: columns of a query that a visitor may leave open.
        candidates: number of items that the ranker scores.
        searches: examples for the search box.
        visit: searches per visit, if visits are to get ids of their own: names of users are texts.

    """

    words: str
    world: str
    rows: int
    items: Callable[[], pl.DataFrame]
    recipes: Callable[[Path, Path], tuple[Recipe, Recipe]]
    optional: tuple[str, ...]
    candidates: int
    searches: tuple[str, ...]
    visit: int | None = None

    def impressions(self) -> pl.DataFrame:
        """Return the rows to train on.

        Each optional column is missing in a third of the searches, and half of the visits are of
        visitors whose id is new. A model that never saw either could not serve a new visitor who
        gives no budget.
        """
        frame = worlds.make(self.world, rows=self.rows).frame
        random = np.random.default_rng(0)
        searches = frame.select("request_id", "user_id").unique("request_id", keep="first")
        searches = searches.sort("request_id")
        if self.visit is not None:
            searches = searches.with_columns(user_id=_visitors(searches["user_id"], self.visit))
        kept = random.random((len(self.optional), searches.height)) >= _FORGOTTEN
        masks = {f"{name} kept": mask for name, mask in zip(self.optional, kept, strict=True)}
        rows = frame.drop("user_id").join(
            searches.with_columns(**{name: pl.lit(pl.Series(m)) for name, m in masks.items()}),
            on="request_id",
            maintain_order="left",
        )
        return rows.with_columns(
            pl.when(pl.col(f"{name} kept")).then(pl.col(name)).alias(name) for name in self.optional
        ).drop(masks)


def _visitors(users: pl.Series, visit: int) -> pl.Series:
    """Return users in which half of the visits, of `visit` searches each, have an id of their own.

    >>> _visitors(pl.Series(["Ada"] * 4), 2).to_list()
    ['Ada', 'Ada', 'visitor 2', 'visitor 2']

    """
    frame = pl.DataFrame({"user": users})
    number = pl.int_range(pl.len()).over("user") // visit
    visits = frame.with_columns(number=number).select(pl.struct("user", "number").rank("dense"))
    of = visits.to_series().cast(pl.Int64)
    new = pl.Series(np.random.default_rng(1).random(frame.height + 1) < _NEW).gather(of)
    ids = pl.concat_str(pl.lit("visitor "), of.cast(pl.String))
    return frame.select(pl.when(new).then(ids).otherwise("user")).to_series()


SHOPS = {
    "homes": ShopWorld(
        words="holiday homes",
        world="holiday_searches",
        rows=80_000,
        items=homes_on_a_map,
        recipes=shop_homes,
        optional=("guests", "budget"),
        candidates=120,
        searches=(
            "by the sea with a garden",
            "in the woods with a sauna",
            "in the mountains with a fireplace",
            "in town with a terrace",
        ),
        visit=5,
    ),
    "restaurants": ShopWorld(
        words="restaurants",
        world="restaurants",
        rows=400_000,
        items=restaurants_on_a_map,
        recipes=shop_restaurants,
        optional=("question", "budget"),
        candidates=80,
        searches=(
            "where can I eat thai with vegan options tonight?",
            "which restaurants near me serve gluten-free food at 1 pm?",
            "italian restaurant, halal, at 21:30",
            "ethiopian restaurant, late-night, at 1 am",
        ),
    ),
}
