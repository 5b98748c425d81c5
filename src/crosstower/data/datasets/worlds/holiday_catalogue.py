"""The catalogue of the holiday homes: titles, places, prices and pictures that a reader knows."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

HOMES = 480
LANDSCAPES = ["sea", "mountains", "lake", "countryside", "forest", "city"]
FEATURES = ["pool", "sauna", "fireplace", "garden", "terrace", "hot tub"]
SLEEPS = [2, 4, 6, 8]
_SEED = 40_001
_PLACES = {
    "sea": "Naxos, Algarve, Amalfi, Hvar, Cornwall, Menorca, Brittany, Madeira",
    "mountains": "Chamonix, Zermatt, Cortina, Zakopane, Innsbruck, Aosta, Andorra, Bansko",
    "lake": "Como, Garda, Bled, Annecy, Ohrid, Windermere, Lucerne, Balaton",
    "countryside": "Tuscany, Provence, Alentejo, Cotswolds, Dordogne, Umbria, Burgundy, Rioja",
    "forest": "Dalarna, Ardennes, Lapland, Bohemia, Karelia, Vosges, Harz, Black Forest",
    "city": "Lisbon, Vienna, Paris, Rome, Berlin, Porto, Prague, Seville",
}
_KINDS = {
    "sea": "villa, cottage, apartment",
    "mountains": "chalet, cabin, lodge",
    "lake": "villa, cabin, cottage",
    "countryside": "farmhouse, cottage, villa",
    "forest": "cabin, lodge, treehouse",
    "city": "apartment, townhouse, loft",
}
_ADJECTIVES = "Bright, Quiet, Old, Sunny, Cosy, Little, Modern, Grand"


def holiday_homes_table() -> pl.DataFrame:
    """Return the catalogue, always the same, in no particular order.

    No two homes have the same title. `rating` is that of earlier guests, from 3.4 to 5.0, and
    `photos` says how good the pictures are, from 1 to 5. A larger home costs more. `picture`
    names a drawing of the server's page.
    """
    random = np.random.default_rng(_SEED)
    landscape, kind, place, title = zip(*_named(random), strict=True)
    sleeps = random.choice(SLEEPS, HOMES, p=[0.3, 0.4, 0.2, 0.1])
    price = sleeps**0.8 * np.exp(random.normal(np.log(42.0), 0.35, HOMES))
    has = random.random((HOMES, len(FEATURES))) < 0.3
    return pl.DataFrame(
        {
            "home_id": np.arange(HOMES),
            "title": title,
            "landscape": landscape,
            "place": place,
            "price": price.round().astype(np.int64),
            "sleeps": sleeps,
            "rating": random.normal(4.3, 0.35, HOMES).clip(3.4, 5.0).round(1),
            "features": [
                [f for f, there in zip(FEATURES, row, strict=True) if there] for row in has
            ],
            "photos": random.integers(1, 6, HOMES),
            "picture": [
                f"{a} {b} {c}" for a, b, c in zip(landscape, kind, _hours(random), strict=True)
            ],
        },
        schema_overrides={"features": pl.List(pl.String)},
    )


def _hours(random: np.random.Generator) -> NDArray[np.str_]:
    return random.choice(["day", "morning", "evening"], HOMES)


def _named(random: np.random.Generator) -> list[tuple[str, str, str, str]]:
    """Return (landscape, kind, place, title) per home, in a random order."""
    adjectives, found = _ADJECTIVES.split(", "), list[tuple[str, str, str, str]]()
    for landscape in LANDSCAPES:
        kinds, places = _KINDS[landscape].split(", "), _PLACES[landscape].split(", ")
        every = list(product(adjectives, kinds, places))
        for i in random.permutation(len(every))[: HOMES // len(LANDSCAPES)]:
            adjective, kind, place = every[i]
            found.append((landscape, kind, place, f"{adjective} {kind} in {place}"))
    return [found[i] for i in random.permutation(HOMES)]
