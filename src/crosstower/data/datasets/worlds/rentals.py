"""Rentals: searches for a place to stay, with clicks, bookings and position bias."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from crosstower.data.datasets.worlds.impressions import draw, pick, show
from crosstower.recipe.schema import Bag, Categorical, Numeric, Schema
from crosstower.recipe.tasks import Binary

USERS, LISTINGS = 2_000, 1_500
CITIES = ["Lisbon", "Porto", "Paris", "Rome", "Berlin", "Vienna"]
LATITUDES = [38.72, 41.15, 48.86, 41.90, 52.52, 48.21]
LONGITUDES = [-9.14, -8.61, 2.35, 12.50, 13.40, 16.37]
AMENITIES = ["wifi", "kitchen", "parking", "pool", "garden", "balcony", "desk", "crib"]
_CATALOGUE_SEED = 20_001


def listings() -> pl.DataFrame:
    """Return the catalogue, always the same: price a night, place, amenities, text."""
    random = np.random.default_rng(_CATALOGUE_SEED)
    city = random.integers(0, len(CITIES), LISTINGS)
    price = np.exp(random.normal(4.5, 0.5, LISTINGS)).round(2)
    has = random.random((LISTINGS, len(AMENITIES))) < 0.35
    amenities = [[a for a, there in zip(AMENITIES, row, strict=True) if there] for row in has]
    places = pick(CITIES, city)
    words = [" and ".join(a) if a else "no extras" for a in amenities]
    return pl.DataFrame(
        {
            "listing_id": np.arange(LISTINGS),
            "city": places,
            "latitude": np.asarray(LATITUDES)[city] + random.normal(0, 0.03, LISTINGS),
            "longitude": np.asarray(LONGITUDES)[city] + random.normal(0, 0.03, LISTINGS),
            "price": price,
            "amenities": amenities,
            "text": [f"Stay in {c} with {w}" for c, w in zip(places, words, strict=True)],
        },
        schema_overrides={"amenities": pl.List(pl.String)},
    )


def rental_relevance(frame: pl.DataFrame) -> NDArray[np.float64]:
    """Return how well the listing of each row fits its search `[rows]`, in [0, 1].

    Reads the columns wanted, amenities, home_city, city, price and budget.
    """
    fits = frame.select(pl.col("amenities").list.contains(pl.col("wanted"))).to_series().to_numpy()
    near = (frame["city"] == frame["home_city"]).to_numpy()
    gap = np.abs(np.log(frame["price"].to_numpy() / frame["budget"].to_numpy()))
    return _relevance(fits, near, gap)


def _relevance(
    fits: NDArray[np.bool_], near: NDArray[np.bool_], gap: NDArray[np.float64]
) -> NDArray[np.float64]:
    return expit(-1.0 + 1.5 * fits + 1.0 * near - 2.0 * gap)


def rentals(rows: int, random: np.random.Generator) -> pl.DataFrame:
    """Return impressions of search pages, each of a user who has a budget and wants one amenity.

    relevance = σ(-1 + 1.5·[wanted amenity] + 1·[user's city] - 2·|log(price / budget)|)
    P(click) = relevance/√position, P(booking) = P(click)·0.3·relevance; a booking needs a click.
    Popularity, which the logging policy follows, is exp of a standard normal a listing.
    """
    catalogue = listings()
    fixed = np.random.default_rng(_CATALOGUE_SEED + 1)
    budget = np.exp(fixed.normal(4.5, 0.4, USERS))
    wanted, home = (fixed.integers(0, n, USERS) for n in (len(AMENITIES), len(CITIES)))
    popularity = np.exp(fixed.normal(size=LISTINGS))
    shown = show(rows, random, users=USERS, popularity=popularity)
    offered = np.stack([catalogue["amenities"].list.contains(a).to_numpy() for a in AMENITIES], 1)
    city = catalogue["city"].replace_strict(CITIES, range(len(CITIES))).to_numpy()
    fits = offered[shown.item, wanted[shown.user]]
    gap = np.abs(np.log(catalogue["price"].to_numpy()[shown.item] / budget[shown.user]))
    near = city[shown.item] == home[shown.user]
    relevance = _relevance(fits, near, gap)
    click_probability = relevance * shown.examined
    click = draw(random, click_probability)
    booking = click * draw(random, 0.3 * relevance)
    own = pl.DataFrame(
        {
            "request_id": shown.request,
            "timestamp": 1_700_000_000 + 60 * shown.request,
            "user_id": shown.user,
            "home_city": pick(CITIES, home[shown.user]),
            "budget": budget[shown.user].round(2),
            "wanted": pick(AMENITIES, wanted[shown.user]),
            "listing_id": shown.item,
        }
    )
    answers = pl.DataFrame(
        {
            "position": shown.position,
            "propensity": shown.propensity,
            "relevance": relevance,
            "click": click,
            "click_probability": click_probability,
            "booking": booking,
            "booking_probability": click_probability * 0.3 * relevance,
        }
    )
    places = catalogue.drop("listing_id")[shown.item]
    return pl.concat([own, places, answers], how="horizontal")


def rentals_schema() -> Schema:
    """Return columns and tasks; position and propensity are not features: no query has them."""
    return Schema(
        columns={
            "user_id": Categorical(),
            "home_city": Categorical(),
            "budget": Numeric(transform="log1p"),
            "wanted": Categorical(),
            "listing_id": Categorical(),
            "city": Categorical(),
            "price": Numeric(transform="log1p"),
            "amenities": Bag(),
        },
        tasks={
            "click": Binary(true_probability="click_probability"),
            "booking": Binary(true_probability="booking_probability"),
        },
    )
