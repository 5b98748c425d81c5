"""The shop of restaurants: questions in a sentence, with a place and a time."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from crosstower.data.datasets.worlds.restaurants import restaurant_table
from crosstower.recipe.recipe import Recipe

_SEED = 30_002
_HOUSES = {
    "italian": "Trattoria, Osteria, Pizzeria, Cantina, Taverna",
    "japanese": "Izakaya, Sushi, Ramen, Udon, Tempura",
    "indian": "Masala, Tandoor, Curry House, Thali, Spice",
    "mexican": "Taqueria, Cantina, Mezcal, Tacos, Casa",
    "french": "Bistro, Brasserie, Auberge, Table, Cave",
    "thai": "Bangkok, Baan, Wok, Lotus, Siam",
    "ethiopian": "Injera, Addis, Habesha, Axum, Teff",
    "greek": "Taverna, Ouzeri, Meze, Psistaria, Estia",
}
_NAMES = (
    "Alma, Amara, Anouk, Aurora, Azur, Bellevue, Blanche, Bruna, Celeste, Clara, Corail, Dalia,"
    " Delphine, Dora, Elena, Elise, Fabia, Flora, Gaia, Grace, Hana, Helios, Ida, Irma, Iris, Jade,"
    " Juno, Kali, Lena, Lila, Luna, Maia, Mira, Nadia, Noor, Olga, Orla, Perla, Rita, Sol"
)
_BUCKETS = {"kind": "numeric", "transform": "bucketise"}
_PLACE = {"kind": "numeric", "transform": "bucketise", "buckets": 16, "dim": 8}
_WORDS = {"kind": "text", "char_ngrams": None}
_SEARCH = {"question": _WORDS | {"hash_buckets": 5_000}, "budget": "categorical"}


@cache
def restaurants_on_a_map() -> pl.DataFrame:
    """Return the catalogue with names, pictures and opening hours, always the same.

    `opens` and `closes` are hours of the day; after midnight they continue with 24. Restaurants
    with the tag late-night close at 25 or 26, others from 21 to 24.
    """
    random, table = np.random.default_rng(_SEED), restaurant_table()
    names = _NAMES.split(", ")
    left = {
        cuisine: [f"{house} {name}" for house in houses.split(", ") for name in names]
        for cuisine, houses in _HOUSES.items()
    }
    for one in left.values():
        random.shuffle(one)
    late = table["tags"].list.contains("late-night").to_numpy()
    evening = random.integers(21, 25, table.height)
    return table.select(
        "restaurant_id",
        pl.Series("name", [left[cuisine].pop() for cuisine in table["cuisine"]]),
        "cuisine",
        "tags",
        "price_level",
        pl.Series("opens", random.choice([8, 11, 12, 17, 18], table.height)),
        pl.Series("closes", np.where(late, random.integers(25, 27, table.height), evening)),
        pl.col("latitude", "longitude").round(4),
        "text",
        pl.format("{} dish", "cuisine").alias("picture"),
    )


def shop_restaurants(rows: Path, items: Path) -> tuple[Recipe, Recipe]:
    """Return the recipes of retrieval and ranking.

    Retrieval finds matches of the question. The ranker also counts clicks per cuisine, so that
    the list follows from the clicks of a visitor.

    Args:
        rows: Parquet file of impressions.
        items: Parquet file of the restaurants.

    """
    data = {"path": str(rows), "split": {"kind": "time", "column": "timestamp"}}
    return (
        Recipe.model_validate(_retrieval(items) | {"data": data}),
        Recipe.model_validate(_ranking() | {"data": data | {"events": "rows"}}),
    )


def _retrieval(items: Path) -> dict[str, Any]:
    search = _SEARCH | dict.fromkeys(("asker_latitude", "asker_longitude"), _PLACE)
    item = {
        "text": _WORDS | {"table": "question"},
        "cuisine": "categorical",
        "tags": "bag",
        "price_level": "categorical",
        "latitude": _PLACE,
        "longitude": _PLACE,
    }
    return {
        "name": "restaurants-retrieval",
        "schema": {"columns": {**search, **item}},
        "model": {
            "name": "two_tower",
            "item": list(item),
            "embedding_dim": 32,
            "dim": 32,
            "query_hidden": [64],
            "item_hidden": [64],
        },
        "retrieval": {
            "user": "user_id",
            "item": "restaurant_id",
            "items": str(items),
            "time": "timestamp",
            "where": "click == 1",
            "exclude_seen": False,
            "log_q": False,
            "baselines": ["popularity"],
        },
        "training": {"embedding_learning_rate": 0.01, "epochs": 20},
    }


def _ranking() -> dict[str, Any]:
    distance = {
        "kind": "distance",
        "origin": ["asker_latitude", "asker_longitude"],
        "to": ["latitude", "longitude"],
    }
    by = ["user_id", "cuisine"]
    return {
        "name": "restaurants",
        "schema": {
            "columns": {
                **_SEARCH,
                "distance": distance,
                "cuisine": "categorical",
                "tags": "bag",
                "price_level": "categorical",
                "taste": {"kind": "counter", "event": "click", "window": "520w", "by": by},
                "clicks": {
                    "kind": "counter", "event": "click", "window": "520w", "by": "user_id"
                },
            },
            "tasks": {
                "click": {"kind": "binary", "true_probability": "click_probability"},
                "visit": {"kind": "binary", "true_probability": "visit_probability"},
            },
        },
        "model": {
            "name": "esmm",
            "trunk": {"name": "dcn_v2", "structure": "stacked", "hidden": [64, 32]},
        },
        "calibration": {"method": "platt"},
        "blend": {"weights": {"click": 1, "visit": 2}},
        "training": {
            "epochs": 3, "learning_rate": 0.003, "embedding_learning_rate": 0.01, "batch_size": 1024
        },
        "evaluation": {"group": "request_id", "baselines": []},
    }  # fmt: skip
