"""The recipes of the short demo: a retriever and a ranker of holiday homes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crosstower.recipe.recipe import Recipe

CANDIDATES = 120
_BUCKETS = {"kind": "numeric", "transform": "bucketise"}
_SEARCH = {"guests": "categorical", "budget": _BUCKETS}


def homes_recipes(items: Path, *, rows: int, seed: int) -> tuple[Recipe, Recipe]:
    """Return the recipes of retrieval and ranking, of the same rows.

    Retrieval learns tastes from clicks. The ranker also reads what the homes offer, and the blend
    orders by expected revenue: booking probability × price.

    Args:
        items: Parquet file of the homes.
        rows: number of impressions.
        seed: of the rows and of both training runs.

    """
    data = {
        "path": "world:holiday_homes",
        "rows": rows,
        "seed": seed,
        "split": {"kind": "time", "column": "timestamp"},
    }
    parts = [_retrieval(items), _ranking()]
    retrieval, ranking = (
        Recipe.model_validate(part | {"data": data, "training": part["training"] | {"seed": seed}})
        for part in parts
    )
    return retrieval, ranking


def _retrieval(items: Path) -> dict[str, Any]:
    home = dict.fromkeys(("home_id", "landscape", "place"), "categorical")
    history = {"kind": "sequence", "table": "home_id", "max_len": 50, "pooling": "sum"}
    return {
        "name": "holiday-homes-retrieval",
        "schema": {"columns": {"user_id": "categorical", **_SEARCH, "history": history, **home}},
        "model": {"name": "two_tower", "item": list(home)},
        "retrieval": {
            "user": "user_id",
            "item": "home_id",
            "items": str(items),
            "time": "timestamp",
            "history": {"column": "history", "events": ["click"]},
            "where": "click == 1",
            "baselines": ["popularity"],
        },
        "training": {"embedding_learning_rate": 0.01},
    }


def _ranking() -> dict[str, Any]:
    home = dict.fromkeys(("landscape", "sleeps", "photos"), "categorical")
    return {
        "name": "holiday-homes",
        "schema": {
            "columns": {
                "user_id": "categorical",
                **_SEARCH,
                **home,
                "price": _BUCKETS,
                "rating": _BUCKETS,
                "features": "bag",
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
