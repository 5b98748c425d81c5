"""A bundle to measure a server with: a two-tower model, a multi-task DCN-V2, a blend."""

from pathlib import Path

import numpy as np
import polars as pl

from crosstower import fit
from crosstower.recipe.recipe import Recipe
from crosstower.serving.bundle import Bundle, make_bundle

USERS, ROWS = 20_000, 300_000
DIM, CANDIDATES = 64, 500
_QUERY = {"country": "categorical", "device": "categorical", "hour": "categorical"}
_ITEM = {
    "item_id": "categorical",
    "category": "categorical",
    "content_type": "categorical",
    "price": {"kind": "numeric", "transform": "bucketise"},
    "age": "numeric",
}


def rows(items: int, users: int = USERS) -> pl.DataFrame:
    """Return impressions; every item is there, some often, and clicks depend on the category."""
    random = np.random.default_rng(0)
    count = max(ROWS, 2 * items, 5 * users)
    share = 1.0 / np.arange(1, items + 1) ** 0.6
    item = np.append(np.arange(items), random.choice(items, count - items, p=share / share.sum()))
    user, category = random.integers(0, users, count), item % 50
    chance = np.where(category % 5 == user % 5, 0.5, 0.2)
    return pl.DataFrame(
        {
            "user_id": user,
            "country": np.array(["de", "fr", "it", "pt"])[user % 4],
            "device": random.choice(["tv", "phone", "web"], count),
            "hour": random.integers(0, 24, count),
            "item_id": item,
            "category": category,
            "content_type": np.array(["photo", "video", "article"])[item % 3],
            "price": 10.0 + item % 97,
            "age": (item % 30).astype(np.float64),
            "time": random.permutation(count),
            "click": (random.random(count) < chance).astype(np.int8),
            "like": (random.random(count) < chance / 3).astype(np.int8),
        }
    )


SOURCES = {"two_tower": 200, "item_knn": 150, "transition_graph": 100, "popular": 50}
"""Quotas that sum up to `CANDIDATES`."""


def recipes(*, live: bool, sources: bool = False) -> tuple[Recipe, Recipe]:
    split = {"kind": "random"}
    training = {"epochs": 1, "batch_size": 2_048}
    retrieval = {
        "name": "retrieval",
        "data": {"split": split},
        "schema": {"columns": {"user_id": "categorical", **_QUERY, **_ITEM}},
        "model": {"item": list(_ITEM), "dim": DIM, "query_hidden": [64], "item_hidden": [64]},
        "retrieval": {
            "user": "user_id",
            "item": "item_id",
            "time": "time",
            "where": "click == 1",
            "valid_queries": 200,
            "baselines": [],
            **({"history": {"events": ["click"]}} if live else {}),
        },
        "training": training,
        **({"sources": SOURCES} if sources else {}),
    }
    ranking = {
        "name": "ranking",
        "data": {"split": split},
        "schema": {
            "columns": {"user_id": "categorical", **_QUERY, **_ITEM},
            "tasks": {"click": "binary", "like": "binary"},
        },
        "model": {
            "name": "shared_bottom",
            "trunk": {"name": "dcn_v2", "cross_layers": 2, "hidden": [128, 64]},
        },
        "calibration": {"method": "platt"},
        "blend": {"weights": {"click": 1, "like": 3}, "transform": "probit", "by": "content_type"},
        "evaluation": {"group": "user_id", "baselines": []},
        "training": training,
    }
    return Recipe.model_validate(retrieval), Recipe.model_validate(ranking)


def serving_bundle(
    folder: Path,
    items: int,
    *,
    live: bool = False,
    sources: bool = False,
    users: int = USERS,
    index: str = "ann",
) -> Bundle:
    """Train both models for one epoch and return their bundle; an existing one is used.

    Args:
        folder: of runs and bundles.
        items: size of the catalogue.
        live: whether click events extend histories.
        sources: whether candidates come from four sources.
        users: number of users.
        index: of the items.

    """
    folder = folder / "live" if live else folder / "sources" if sources else folder
    place = folder / f"bundle-{items}"
    if not place.is_dir():
        frame = rows(items, users)
        runs = [
            fit(r, data=frame, out=folder / f"{r.name}-{items}")
            for r in recipes(live=live, sources=sources)
        ]
        make_bundle(runs, place, candidates=CANDIDATES, data=frame, index=index)
    return Bundle.open(place)
