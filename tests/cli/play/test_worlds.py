"""Rows of the shops: new visitors and open fields among them, and recipes that fit."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from crosstower.cli.play.worlds import SHOPS
from crosstower.data.datasets import worlds
from crosstower.models.registry import config_of
from crosstower.recipe.validation import validate


@pytest.mark.parametrize("name", SHOPS)
def test_optional_columns_are_missing_in_a_third_of_the_searches_alone(name: str) -> None:
    shop = replace(SHOPS[name], rows=20_000)
    rows, whole = shop.impressions(), worlds.make(shop.world, rows=shop.rows).frame
    assert rows.height == shop.rows
    for column in shop.optional:
        before = whole[column].null_count() / shop.rows
        gone = (rows[column].null_count() / shop.rows - before) / (1 - before)
        assert abs(gone - 1 / 3) < 0.04
        kept = rows.with_columns(whole=whole[column]).filter(pl.col(column).is_not_null())
        assert kept[column].equals(kept["whole"])
    others = [n for n in whole.columns if n not in (*shop.optional, "user_id")]
    assert rows.select(others).equals(whole.select(others))


def test_half_of_the_visits_are_of_new_visitors_with_few_searches() -> None:
    rows = replace(SHOPS["homes"], rows=20_000).impressions().unique("request_id")
    new = rows.filter(pl.col("user_id").str.starts_with("visitor "))
    assert abs(new.height / rows.height - 0.5) < 0.05
    assert new.group_by("user_id").len()["len"].max() == SHOPS["homes"].visit
    users = set(worlds.make("holiday_searches", rows=10_000).frame["user_id"])
    assert users & set(rows["user_id"])


@pytest.mark.parametrize("name", SHOPS)
def test_recipes_read_columns_that_a_visitor_can_give_and_never_the_truth(name: str) -> None:
    shop = SHOPS[name]
    columns = set(worlds.make(shop.world, rows=10).frame.columns)
    hidden = {"position", "propensity", "relevance", "favourite", "need", "distance_km", "user_id"}
    retrieval, ranking = shop.recipes(Path("rows.parquet"), Path("items.parquet"))
    assert set(retrieval.schema_.sources()) <= columns - hidden | {"history"}
    assert not set(ranking.schema_.columns) & hidden
    assert set(shop.optional) <= set(ranking.schema_.columns)
    for recipe in (retrieval, ranking):
        options = {k: v for k, v in recipe.model.items() if k != "name"}
        validate(config_of(recipe.model["name"]), options, where="model")
    counted = {name for count in ranking.schema_.counts() for name in count.events}
    assert counted == {"click"}
    assert 10 < shop.candidates < shop.items().height
    assert all(len(text) < 60 for text in shop.searches)
