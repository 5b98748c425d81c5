"""The shop of holiday homes: clicks and search text change the list immediately."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crosstower.recipe.recipe import Recipe

_BUCKETS = {"kind": "numeric", "transform": "bucketise"}
_WORDS = {"kind": "text", "char_ngrams": None}
_SEARCH = {"wish": _WORDS | {"hash_buckets": 5_000}, "guests": "categorical", "budget": _BUCKETS}


def shop_homes(rows: Path, items: Path) -> tuple[Recipe, Recipe]:
    """Return the recipes of retrieval and ranking.

    No stage reads the id of the user, so a new visitor is served like any other: retrieval reads
    the history of clicks, and the ranker counts clicks per landscape.

    Args:
        rows: Parquet file of impressions.
        items: Parquet file of the homes.

    """
    data = {"path": str(rows), "split": {"kind": "time", "column": "timestamp"}}
    return (
        Recipe.model_validate(_retrieval(items) | {"data": data}),
        Recipe.model_validate(_ranking() | {"data": data | {"events": "rows"}}),
    )


def _retrieval(items: Path) -> dict[str, Any]:
    home = {
        **dict.fromkeys(("home_id", "landscape", "place"), "categorical"),
        "text": _WORDS | {"table": "wish"},
    }
    history = {"kind": "sequence", "table": "home_id", "max_len": 50, "pooling": "mean"}
    return {
        "name": "holiday-homes-retrieval",
        "schema": {"columns": {**_SEARCH, "history": history, **home}},
        "model": {"name": "two_tower", "item": list(home)},
        "retrieval": {
            "user": "user_id",
            "item": "home_id",
            "items": str(items),
            "time": "timestamp",
            "history": {"column": "history", "events": ["click"]},
            "where": "click == 1",
            "exclude_seen": False,
            "baselines": ["popularity"],
        },
        "training": {"embedding_learning_rate": 0.01},
    }


def _ranking() -> dict[str, Any]:
    home = dict.fromkeys(("home_id", "landscape", "sleeps", "photos"), "categorical")
    taste = {"kind": "counter", "event": "click", "window": "520w", "by": ["user_id", "landscape"]}
    clicks = {"kind": "counter", "event": "click", "window": "520w", "by": "user_id"}
    return {
        "name": "holiday-homes",
        "schema": {
            "columns": {
                **_SEARCH,
                **home,
                "price": _BUCKETS,
                "rating": _BUCKETS,
                "features": "bag",
                "taste": taste,
                "clicks": clicks,
            },
            "tasks": {
                "click": {"kind": "binary", "true_probability": "click_probability"},
                "booking": {"kind": "binary", "true_probability": "booking_probability"},
            },
        },
        "model": {
            "name": "esmm",
            "trunk": {"name": "dcn_v2", "structure": "stacked", "hidden": [64, 32]},
        },
        "calibration": {"method": "platt"},
        "blend": {"mode": "product", "weights": {"booking": 1}, "amount": "price"},
        "training": {"epochs": 8, "learning_rate": 0.003, "batch_size": 1024},
        "evaluation": {"group": "request_id", "baselines": []},
    }
