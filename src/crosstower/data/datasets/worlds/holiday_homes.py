"""Holiday homes: searches with clicks and bookings, of travellers with a taste and a budget."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from crosstower.data.datasets.worlds.holiday_catalogue import (
    FEATURES,
    HOMES,
    LANDSCAPES,
    holiday_homes_table,
)
from crosstower.data.datasets.worlds.impressions import Impressions, draw, pick, show
from crosstower.recipe.schema import Bag, Categorical, Numeric, Schema
from crosstower.recipe.tasks import Binary

_SEED = 40_002
_NAMES = (
    *("Ada", "Ben", "Cleo", "Dan", "Ella", "Finn", "Greta", "Hugo", "Ines", "Jan"),
    *("Kim", "Lea", "Max", "Nora", "Otto", "Pia", "Quinn", "Rosa", "Sam", "Tara"),
)
_INITIALS = "ABCDEFGHIJ"


def travellers() -> pl.DataFrame:
    """Return the users, always the same: a taste, and the size and the budget of a usual search.

    A taste is a favourite and a second landscape and a wanted feature; no dataset contains it.
    `usual_budget` is the price per night.
    """
    random = np.random.default_rng(_SEED)
    users = [f"{name} {initial}." for initial in _INITIALS for name in _NAMES]
    favourite = random.integers(0, len(LANDSCAPES), len(users))
    second = (favourite + random.integers(1, len(LANDSCAPES), len(users))) % len(LANDSCAPES)
    guests = random.choice([1, 2, 4, 6], len(users), p=[0.15, 0.45, 0.3, 0.1])
    budget = (guests + 1) ** 0.8 * np.exp(random.normal(np.log(42.0), 0.35, len(users)))
    return pl.DataFrame(
        {
            "user_id": users,
            "favourite": pick(LANDSCAPES, favourite),
            "second": pick(LANDSCAPES, second),
            "wanted": pick(FEATURES, random.integers(0, len(FEATURES), len(users))),
            "usual_guests": guests,
            "usual_budget": budget,
        }
    )


@dataclass(frozen=True)
class Chances:
    """True probabilities `[rows]`: of a click on a home that is looked at, of a booking then."""

    click: NDArray[np.float64]
    booking: NDArray[np.float64]


def holiday_chances(rows: pl.DataFrame) -> Chances:
    """Return the true probabilities of any users, searches and homes.

    taste = 3·[favourite landscape] + 1.5·[second landscape] + 0.8·[wanted feature]
    small = [the home sleeps fewer than the guests]
    click = σ(-2.8 + taste + 0.6·(photos - 3) - 1.5·small)
    booking = σ(-1.5 + taste/2 + 2·(rating - 4.3) - 4·max(0, log(price / budget)) - 3·small)

    Args:
        rows: with the columns user_id, guests, budget, landscape, features, photos, rating, price
            and sleeps.

    """
    known = rows.join(_tastes(), on="user_id", how="left", maintain_order="left")
    return chances_of(rows, known.select(usual_taste()).to_series().to_numpy())


def usual_taste() -> pl.Expr:
    """Return a traveller's taste for a home, of the columns of both."""
    return (
        3.0 * (pl.col("landscape") == pl.col("favourite"))
        + 1.5 * (pl.col("landscape") == pl.col("second"))
        + 0.8 * pl.col("features").list.contains(pl.col("wanted"))
    )


def chances_of(rows: pl.DataFrame, taste: NDArray[np.float64]) -> Chances:
    """Return the true probabilities for a taste `[rows]`, by the formulas of `holiday_chances`."""
    photos, rating, price, budget, guests, sleeps = (
        rows[name].to_numpy().astype(np.float64)
        for name in ("photos", "rating", "price", "budget", "guests", "sleeps")
    )
    small = sleeps < guests
    dear = np.maximum(0.0, np.log(price / budget))
    return Chances(
        expit(-2.8 + taste + 0.6 * (photos - 3.0) - 1.5 * small),
        expit(-1.5 + 0.5 * taste + 2.0 * (rating - 4.3) - 4.0 * dear - 3.0 * small),
    )


@cache
def _tastes() -> pl.DataFrame:
    return travellers().select("user_id", "favourite", "second", "wanted")


def holiday_revenue(rows: pl.DataFrame) -> NDArray[np.float64]:
    """Return the expected revenue per night of each row `[rows]`: P(click)·P(booking)·price.

    The home is looked at; columns as in `holiday_chances`.
    """
    chances = holiday_chances(rows)
    return chances.click * chances.booking * rows["price"].to_numpy()


def holiday_homes(rows: int, random: np.random.Generator) -> pl.DataFrame:
    """Return impressions of search pages; `holiday_chances` gives the formulas.

    A home at position k is looked at with probability 1/√k, and a booking needs a click. The
    guests of a search differ from the usual ones in one of five, and its budget is the usual one
    times exp of a normal of 0.15. Popularity, which the logging policy follows, is exp of half a
    standard normal a home, and better photos make it larger.
    """
    shown = shown_homes(rows, random)
    searches = searches_of(shown, random)
    frame = pl.concat([searches, holiday_homes_table()[shown.item]], how="horizontal")
    return with_answers(frame, holiday_chances(frame), shown, random)


def shown_homes(rows: int, random: np.random.Generator) -> Impressions:
    """Return which homes the logging policy shows to whom."""
    homes, fixed = holiday_homes_table(), np.random.default_rng(_SEED + 1)
    liked = 0.5 * fixed.normal(size=HOMES) + 0.2 * (homes["photos"].to_numpy() - 3.0)
    return show(rows, random, users=travellers().height, popularity=np.exp(liked))


def searches_of(shown: Impressions, random: np.random.Generator) -> pl.DataFrame:
    """Return the search of each row: id, time, user, guests and budget."""
    requests = int(shown.request[-1]) + 1
    change = np.exp(random.normal(0.0, 0.15, requests))[shown.request]
    other = random.choice([0, 1], requests, p=[0.8, 0.2])[shown.request]
    user = travellers()[shown.user]
    return pl.DataFrame(
        {
            "request_id": shown.request,
            "timestamp": 1_700_000_000 + 600 * shown.request,
            "user_id": user["user_id"],
            "guests": user["usual_guests"] + other,
            "budget": (user["usual_budget"].to_numpy() * change).round().astype(np.int64),
        }
    )


def with_answers(
    frame: pl.DataFrame, chances: Chances, shown: Impressions, random: np.random.Generator
) -> pl.DataFrame:
    """Return the rows with places, clicks, bookings and their true probabilities."""
    seen = chances.click * shown.examined
    click = draw(random, seen)
    return frame.with_columns(
        pl.Series("position", shown.position),
        pl.Series("propensity", shown.propensity),
        pl.Series("click", click),
        pl.Series("click_probability", seen),
        pl.Series("booking", click * draw(random, chances.booking)),
        pl.Series("booking_probability", seen * chances.booking),
    )


def holiday_homes_schema() -> Schema:
    """Return columns and tasks; position and propensity are not features: no query has them."""
    return Schema(
        columns={
            "user_id": Categorical(),
            "guests": Categorical(),
            "budget": Numeric(transform="log1p"),
            "home_id": Categorical(),
            "landscape": Categorical(),
            "place": Categorical(),
            "price": Numeric(transform="log1p"),
            "sleeps": Categorical(),
            "rating": Numeric(),
            "features": Bag(),
            "photos": Categorical(),
        },
        tasks={
            "click": Binary(true_probability="click_probability"),
            "booking": Binary(true_probability="booking_probability"),
        },
    )
