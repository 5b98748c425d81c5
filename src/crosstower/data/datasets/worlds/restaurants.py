"""Restaurants: searches for a place to eat, with clicks, visits, ratings and position bias."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.special import expit

from crosstower.data.datasets.worlds.impressions import draw, pick, show
from crosstower.recipe.schema import Bag, Categorical, Distance, Schema
from crosstower.recipe.tasks import Binary, Rating

USERS, RESTAURANTS = 2_000, 1_200
CUISINES = ["italian", "japanese", "indian", "mexican", "french", "thai", "ethiopian", "greek"]
TAGS = ["vegan", "vegetarian", "gluten-free", "halal", "terrace", "late-night"]
_CATALOGUE_SEED = 30_001
_CENTRE = (48.86, 2.35)
_QUESTIONS = (
    "which restaurants near me serve {need} food?",
    "{favourite} restaurant, {need}",
    "where can I eat {favourite} with {need} options?",
)
_KM_PER_DEGREE = 111.2


def restaurant_table() -> pl.DataFrame:
    """Return the catalogue, always the same: cuisine, tags, price level 1-4, place, text."""
    random = np.random.default_rng(_CATALOGUE_SEED)
    cuisine = pick(CUISINES, random.integers(0, len(CUISINES), RESTAURANTS))
    has = random.random((RESTAURANTS, len(TAGS))) < 0.3
    tags = [[t for t, there in zip(TAGS, row, strict=True) if there] for row in has]
    words = [f", {', '.join(t)}" if t else "" for t in tags]
    return pl.DataFrame(
        {
            "restaurant_id": np.arange(RESTAURANTS),
            "cuisine": cuisine,
            "tags": tags,
            "price_level": random.integers(1, 5, RESTAURANTS),
            "latitude": _CENTRE[0] + random.normal(0, 0.04, RESTAURANTS),
            "longitude": _CENTRE[1] + random.normal(0, 0.06, RESTAURANTS),
            "text": [f"{c.title()} food{w}" for c, w in zip(cuisine, words, strict=True)],
        },
        schema_overrides={"tags": pl.List(pl.String)},
    )


def restaurants(rows: int, random: np.random.Generator) -> pl.DataFrame:
    """Return impressions of search pages, each of a user with a favourite cuisine and a need.

    relevance = σ(-0.5 + 1.5·[favourite cuisine] + 1·[needed tag] - 0.3·km - 0.5·|price - budget|)
    P(click) = relevance/√position, P(visit) = P(click)·0.5·relevance; a visit needs a click.
    A visit is rated 1 + 4·Beta(8·relevance + 1, 8·(1 - relevance) + 1), rounded; other rows have
    no rating. `distance_km` is flat-earth distance from where the user asks; `question` says in
    words what the user needs, and in two of three requests the favourite cuisine.
    """
    table = restaurant_table()
    fixed = np.random.default_rng(_CATALOGUE_SEED + 1)
    favourite = fixed.integers(0, len(CUISINES), USERS)
    need, budget = fixed.integers(0, len(TAGS), USERS), fixed.integers(1, 5, USERS)
    popularity = np.exp(fixed.normal(size=RESTAURANTS))
    shown = show(rows, random, users=USERS, popularity=popularity)
    requests = int(shown.request[-1]) + 1
    asker_latitude = (_CENTRE[0] + random.normal(0, 0.03, requests))[shown.request]
    asker_longitude = (_CENTRE[1] + random.normal(0, 0.045, requests))[shown.request]
    place = table[shown.item]
    north = (place["latitude"].to_numpy() - asker_latitude) * _KM_PER_DEGREE
    east = (place["longitude"].to_numpy() - asker_longitude) * _KM_PER_DEGREE
    distance = np.hypot(north, east * np.cos(np.radians(_CENTRE[0])))
    cuisine = place["cuisine"].replace_strict(CUISINES, range(len(CUISINES))).to_numpy()
    offered = np.stack([table["tags"].list.contains(t).to_numpy() for t in TAGS], axis=1)
    relevance = expit(
        -0.5
        + 1.5 * (cuisine == favourite[shown.user])
        + 1.0 * offered[shown.item, need[shown.user]]
        - 0.3 * distance
        - 0.5 * np.abs(place["price_level"].to_numpy() - budget[shown.user])
    )
    click_probability = relevance * shown.examined
    click = draw(random, click_probability)
    visit = click * draw(random, 0.5 * relevance)
    stars = np.round(1.0 + 4.0 * random.beta(8 * relevance + 1, 8 * (1 - relevance) + 1))
    own = pl.DataFrame(
        {
            "request_id": shown.request,
            "timestamp": 1_700_000_000 + 60 * shown.request,
            "user_id": shown.user,
            "favourite": pick(CUISINES, favourite[shown.user]),
            "need": pick(TAGS, need[shown.user]),
            "budget": budget[shown.user],
            "question": _questions(shown.request, shown.user, favourite, need),
            "asker_latitude": asker_latitude,
            "asker_longitude": asker_longitude,
            "distance_km": distance,
        }
    )
    answers = pl.DataFrame(
        {
            "position": shown.position,
            "propensity": shown.propensity,
            "relevance": relevance,
            "click": click,
            "click_probability": click_probability,
            "visit": visit,
            "visit_probability": click_probability * 0.5 * relevance,
            "rating": pl.Series(np.where(visit == 1, stars, np.nan)).fill_nan(None),
        }
    )
    return pl.concat([own, place, answers], how="horizontal")


def _questions(
    request: np.ndarray, user: np.ndarray, favourite: np.ndarray, need: np.ndarray
) -> list[str]:
    words = zip(request, pick(CUISINES, favourite[user]), pick(TAGS, need[user]), strict=True)
    return [_QUESTIONS[r % len(_QUESTIONS)].format(favourite=f, need=n) for r, f, n in words]


def restaurants_schema() -> Schema:
    """Return columns and tasks; position and propensity are not features: no query has them."""
    return Schema(
        columns={
            "user_id": Categorical(),
            "favourite": Categorical(),
            "need": Categorical(),
            "budget": Categorical(),
            "distance": Distance(
                origin=("asker_latitude", "asker_longitude"), to=("latitude", "longitude")
            ),
            "restaurant_id": Categorical(),
            "cuisine": Categorical(),
            "tags": Bag(),
            "price_level": Categorical(),
        },
        tasks={
            "click": Binary(true_probability="click_probability"),
            "visit": Binary(true_probability="visit_probability"),
            "rating": Rating(low=1, high=5),
        },
    )
