"""Holiday homes searched in words: the formulas of clicks, and wishes that say what they mean."""

import math
from typing import Any

import numpy as np
import polars as pl

from crosstower.data.datasets.worlds import make
from crosstower.data.datasets.worlds.holiday_catalogue import LANDSCAPES, holiday_homes_table
from crosstower.data.datasets.worlds.holiday_homes import travellers
from crosstower.data.datasets.worlds.holiday_places import PLACES
from crosstower.data.datasets.worlds.holiday_searches import (
    WORDS,
    homes_on_a_map,
    search_chances,
    search_revenue,
    wishes,
)

Row = dict[str, Any]


def plain_taste(row: Row, user: Row) -> float:
    """Return the taste of one row from the formulas, reading the wish word by word."""
    wish = row["wish"]
    if wish is None:
        liked = 3 * (row["landscape"] == user["favourite"])
        liked += 1.5 * (row["landscape"] == user["second"])
        return liked + 0.8 * (user["wanted"] in row["features"])
    liked = 4 * any(wish.startswith(words) for words in WORDS[row["landscape"]])
    return liked + 2 * any(wish.endswith(f" with a {f}") for f in row["features"])


def plain_chances(row: Row, taste: float) -> tuple[float, float]:
    small = row["sleeps"] < row["guests"]
    dear = max(0.0, math.log(row["price"] / row["budget"]))
    click = -2.8 + taste + 0.6 * (row["photos"] - 3) - 1.5 * small
    booking = -1.5 + taste / 2 + 2 * (row["rating"] - 4.3) - 4 * dear - 3 * small
    return 1 / (1 + math.exp(-click)), 1 / (1 + math.exp(-booking))


def test_the_chances_follow_the_formulas() -> None:
    frame = make("holiday_searches", rows=400).frame
    users = {row["user_id"]: row for row in travellers().to_dicts()}
    rows = frame.to_dicts()
    expected = np.array([plain_chances(r, plain_taste(r, users[r["user_id"]])) for r in rows])
    found = search_chances(frame)
    np.testing.assert_allclose(found.click, expected[:, 0], rtol=1e-12)
    np.testing.assert_allclose(found.booking, expected[:, 1], rtol=1e-12)
    revenue = expected.prod(axis=1) * frame["price"].to_numpy()
    np.testing.assert_allclose(search_revenue(frame), revenue, rtol=1e-12)


def test_half_of_the_searches_have_a_wish_and_each_has_one_meaning() -> None:
    frame = make("holiday_searches", rows=20_000).frame
    searches = frame.unique("request_id")
    assert abs(searches["wish"].null_count() / searches.height - 0.5) < 0.05
    assert wishes()["wish"].is_unique().all()
    assert set(frame["wish"].drop_nulls()) <= set(wishes()["wish"])
    assert frame.group_by("request_id").agg(pl.col("wish").n_unique())["wish"].max() == 1
    meant = searches.join(wishes(), on="wish").group_by("landscape").len()
    assert set(meant["landscape"]) == set(LANDSCAPES)


def test_homes_are_near_their_place_and_their_text_says_what_they_offer() -> None:
    homes = homes_on_a_map()
    assert homes.select(holiday_homes_table().columns).equals(holiday_homes_table())
    assert set(homes["place"]) == set(PLACES)
    for row in homes.to_dicts():
        latitude, longitude = PLACES[row["place"]]
        assert abs(row["latitude"] - latitude) < 0.4
        assert abs(row["longitude"] - longitude) < 0.4
        for words in (*WORDS[row["landscape"]], row["place"], *row["features"]):
            assert words in row["text"]
