"""Holiday homes on a map: in half of the searches, a text query decides the clicks."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.datasets.worlds.holiday_catalogue import (
    FEATURES,
    HOMES,
    LANDSCAPES,
    holiday_homes_table,
)
from crosstower.data.datasets.worlds.holiday_homes import (
    Chances,
    chances_of,
    holiday_homes_schema,
    searches_of,
    shown_homes,
    travellers,
    usual_taste,
    with_answers,
)
from crosstower.data.datasets.worlds.holiday_places import PLACES
from crosstower.data.datasets.worlds.impressions import Impressions, pick
from crosstower.recipe.schema import Schema, Text

_SEED = 40_003
_WISHING = 0.5
WORDS = {
    "sea": ("by the sea", "near the beach"),
    "mountains": ("in the mountains", "with a view of the mountains"),
    "lake": ("by a lake", "at the lake shore"),
    "countryside": ("in the countryside", "among fields"),
    "forest": ("in the forest", "in the woods"),
    "city": ("in the city", "in town"),
}


@cache
def wishes() -> pl.DataFrame:
    """Return every wish: its words, and the landscape and the feature (or none) that it means.

    >>> wishes().filter(landscape="sea", feature="garden")["wish"].to_list()
    ['by the sea with a garden', 'near the beach with a garden']

    """
    rows = [
        (words if feature is None else f"{words} with a {feature}", landscape, feature)
        for landscape, feature in product(LANDSCAPES, (None, *FEATURES))
        for words in WORDS[landscape]
    ]
    return pl.DataFrame(rows, schema=["wish", "landscape", "feature"], orient="row")


@cache
def homes_on_a_map() -> pl.DataFrame:
    """Return the catalogue of homes with latitude, longitude and a text, always the same.

    A home lies within some 20 km of its place. The text has its kind, its landscape in the words
    of wishes, its place and its features.
    """
    random = np.random.default_rng(_SEED)
    homes = holiday_homes_table()
    place = homes["place"].to_list()
    north, east = random.normal(0.0, 0.08, (2, HOMES))
    kind = homes["picture"].str.split(" ").list.get(1)
    parts = zip(kind, homes["landscape"], place, homes["features"].to_list(), strict=True)
    return homes.with_columns(
        latitude=pl.Series([PLACES[p][0] for p in place] + north).round(4),
        longitude=pl.Series([PLACES[p][1] for p in place] + east).round(4),
        text=pl.Series([_text(*part) for part in parts]),
    )


def _text(kind: str, landscape: str, place: str, features: list[str]) -> str:
    offers = f" with {', '.join(features)}" if features else ""
    return f"{kind} {', '.join(WORDS[landscape])}, {place}{offers}"


def search_chances(rows: pl.DataFrame) -> Chances:
    """Return the true probabilities of searches with and without a wish.

    Without a wish they are those of `holiday_chances`. A wish replaces the user's taste:
    taste = 4·[wished landscape] + 2·[wished feature].

    Args:
        rows: with the columns of `holiday_chances`, and `wish`.

    """
    own = travellers().select("user_id", "favourite", "second", "wanted")
    meant = wishes().select("wish", wished="landscape", also="feature")
    known = rows.join(own, on="user_id", how="left", maintain_order="left")
    known = known.join(meant, on="wish", how="left", maintain_order="left")
    asked = 4.0 * (pl.col("landscape") == pl.col("wished")) + 2.0 * (
        pl.col("features").list.contains(pl.col("also")).fill_null(value=False)
    )
    taste = known.select(pl.when(pl.col("wished").is_null()).then(usual_taste()).otherwise(asked))
    return chances_of(rows, taste.to_series().to_numpy())


def search_revenue(rows: pl.DataFrame) -> NDArray[np.float64]:
    """Return the expected revenue per night `[rows]`: P(click)·P(booking)·price, if looked at."""
    chances = search_chances(rows)
    return chances.click * chances.booking * rows["price"].to_numpy()


def holiday_searches(rows: int, random: np.random.Generator) -> pl.DataFrame:
    """Return impressions of search pages as `holiday_homes` does, half of them of text queries.

    A wish is for the user's favourite landscape in one of two, else for any. In two of three it
    names a feature: the one that the user wants in one of two, else any.
    """
    shown = shown_homes(rows, random)
    wish = pl.Series("wish", _wishes_of(shown, random), dtype=pl.String)
    searches = searches_of(shown, random).with_columns(wish)
    frame = pl.concat([searches, homes_on_a_map()[shown.item]], how="horizontal")
    return with_answers(frame, search_chances(frame), shown, random)


def _wishes_of(shown: Impressions, random: np.random.Generator) -> list[str | None]:
    """Return the words of each row's search, None for a search without a wish."""
    first = np.unique(shown.request, return_index=True)[1]
    users, requests = travellers()[shown.user[first]], len(first)
    landscape = _mostly(users["favourite"], LANDSCAPES, random)
    feature = _mostly(users["wanted"], FEATURES, random)
    named = random.random(requests) < 2 / 3
    which = random.integers(0, 2, requests)
    wishing = random.random(requests) < _WISHING
    words = [
        (WORDS[a][w] + (f" with a {b}" if n else "")) if wished else None
        for a, b, n, w, wished in zip(landscape, feature, named, which, wishing, strict=True)
    ]
    return [words[request] for request in shown.request]


def _mostly(own: pl.Series, values: list[str], random: np.random.Generator) -> list[str]:
    """Return the user's own value in one of two searches, else any."""
    other = pick(values, random.integers(0, len(values), len(own)))
    return np.where(random.random(len(own)) < 0.5, own.to_list(), other).tolist()


def holiday_searches_schema() -> Schema:
    """Return columns and tasks of `holiday_homes`, with the wish and the text of the home."""
    schema = holiday_homes_schema()
    columns = {**schema.columns, "wish": Text(), "text": Text(table="wish")}
    return Schema(columns=columns, tasks=schema.tasks)
