"""Synthetic datasets ("worlds") by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from crosstower.data.datasets.worlds.app_installs import app_installs, app_installs_schema
from crosstower.data.datasets.worlds.drifting_feed import drifting_feed, drifting_feed_schema
from crosstower.data.datasets.worlds.feed_engagement import feed_engagement, feed_engagement_schema
from crosstower.data.datasets.worlds.holiday_homes import holiday_homes, holiday_homes_schema
from crosstower.data.datasets.worlds.holiday_searches import (
    holiday_searches,
    holiday_searches_schema,
)
from crosstower.data.datasets.worlds.impressions import generator
from crosstower.data.datasets.worlds.rentals import rentals, rentals_schema
from crosstower.data.datasets.worlds.restaurants import restaurants, restaurants_schema
from crosstower.data.datasets.worlds.watch_next import (
    watch_next,
    watch_next_independent,
    watch_next_schema,
)
from crosstower.errors import RecipeError, did_you_mean
from crosstower.recipe.arguments import count_of
from crosstower.recipe.schema import Schema


@dataclass(frozen=True)
class World:
    """A synthetic dataset: rows, schema, and the columns to group and slice metrics by.

    >>> world = make("rentals", rows=100)
    >>> world.frame.height, list(world.schema.tasks)
    (100, ['click', 'booking'])

    Args:
        name: of the world.
        frame: rows.
        schema: columns and tasks.
        group: column for gAUC.
        slices: columns whose values the metrics are broken down by.

    """

    name: str
    frame: pl.DataFrame
    schema: Schema
    group: str
    slices: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    words: str
    rows: int
    simulate: Callable[[int, np.random.Generator], pl.DataFrame]
    schema: Callable[[], Schema]
    slices: tuple[str, ...]


_WORLDS = {
    "app_installs": _Entry(
        "installs of 50 apps by 1,000 users; pairs that match, and age, decide",
        10_000, app_installs, app_installs_schema, ("location",),
    ),
    "watch_next": _Entry(
        "watched or not and for how long: 200 videos, 1,000 users; a match decides",
        8_000, watch_next, watch_next_schema, ("device",),
    ),
    "watch_next_independent": _Entry(
        "the same with labels of pure chance: an honest AUC is 0.5",
        8_000, watch_next_independent, watch_next_schema, ("device",),
    ),
    "feed_engagement": _Entry(
        "likes and comments on photos and videos in a feed",
        3_000, feed_engagement, feed_engagement_schema, ("content_type",),
    ),
    "rentals": _Entry(
        "searches for a place to stay: clicks and bookings, with position bias",
        20_000, rentals, rentals_schema, ("city",),
    ),
    "holiday_homes": _Entry(
        "named holiday homes: clicks and bookings of users with a taste and a budget",
        20_000, holiday_homes, holiday_homes_schema, ("landscape",),
    ),
    "holiday_searches": _Entry(
        "the same homes on a map; half of the searches are text queries",
        20_000, holiday_searches, holiday_searches_schema, ("landscape",),
    ),
    "restaurants": _Entry(
        "searches for a place to eat: clicks, visits and ratings, with position bias",
        20_000, restaurants, restaurants_schema, ("cuisine",),
    ),
    "drifting_feed": _Entry(
        "clicks and likes in a feed whose tastes and items change, with position bias",
        40_000, drifting_feed, drifting_feed_schema, ("content_type", "topic"),
    ),
}  # fmt: skip


def world_names() -> list[str]:
    """Return the names of all worlds.

    >>> "rentals" in world_names()
    True
    """
    return list(_WORLDS)


def description(name: str) -> str:
    """Return one line about a world.

    >>> description("feed_engagement")
    'likes and comments on photos and videos in a feed'

    Args:
        name: of the world.

    Raises:
        RecipeError: there is no such world.

    """
    return _entry(name).words


def make(name: str, *, rows: int | None = None, seed: int = 0) -> World:
    """Simulate a world; the same arguments give the same rows.

    >>> make("rentals", rows=100, seed=1).frame.height
    100

    Args:
        name: of the world.
        rows: number of rows; the world's default if None.
        seed: of the simulation.

    Raises:
        RecipeError: there is no such world, `rows` is below 1, or `seed` is below 0.

    """
    entry = _entry(name)
    rows = entry.rows if rows is None else rows
    count_of(f"world '{name}': rows", rows, error=RecipeError)
    frame = entry.simulate(rows, generator(f"world '{name}'", seed))
    return World(name, frame, entry.schema(), "user_id", entry.slices)


def _entry(name: str) -> _Entry:
    if name not in _WORLDS:
        raise RecipeError(
            f"no world '{name}'{did_you_mean(name, world_names())};"
            f" allowed: {', '.join(world_names())}"
        )
    return _WORLDS[name]
