from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe
from crosstower.serving.bundle import Bundle, make_bundle

from ...fixtures.funnels import QUICK, Runs


@pytest.fixture(scope="session")
def films_bundle(cinema: Runs, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A ranker that joins its items, one of which it cannot read."""
    out = tmp_path_factory.mktemp("films") / "bundle"
    return make_bundle([cinema.retrieval, cinema.ranking], out, candidates=40)


def visits(count: int = 1_500) -> pl.DataFrame:
    """Rows whose columns are the user's, the place's, or of both."""
    random = np.random.default_rng(0)
    place = random.integers(0, 30, count)
    return pl.DataFrame(
        {
            "user": random.integers(0, 40, count),
            "place": place,
            "kind": np.array(["bar", "park", "shop"])[place % 3],
            "lat": 48.8 + place / 300,
            "lon": 2.3 + place / 300,
            "my_lat": 48.8 + random.random(count) / 5,
            "my_lon": 2.3 + random.random(count) / 5,
            "mood": random.choice(["calm", "loud"], count),
            "weather": random.choice(["rain", "sun"], count),
            "bid": random.random(count),
            "time": np.arange(count),
            "went": (random.random(count) < 0.2 + 0.2 * (place % 3)).astype(np.int8),
            "stayed": random.random(count) * 100,
        }
    )


@pytest.fixture(scope="session")
def places_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Distances and crosses of both sides, tables joined by the user and by the place."""
    return places(
        tmp_path_factory.mktemp("places"),
        calibration={"method": "platt", "by": "kind"},
        blend={"weights": {"went": 1, "stayed": 0.2}, "transform": "probit", "by": "kind"},
    )


@pytest.fixture(scope="session")
def moods_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same, where the query decides the type of the calibration and an amount of the blend."""
    return places(
        tmp_path_factory.mktemp("moods"),
        calibration={"method": "platt", "by": "weather"},
        blend={
            "mode": "product",
            "weights": {"went": 1},
            "amount": "bid",
            "diversity": {"by": "kind", "caps": {"bar": 1, "*": 3}, "top": 6},
        },
    )


def places(folder: Path, *, calibration: dict[str, Any], blend: dict[str, Any]) -> Bundle:
    visits().write_parquet(folder / "rows.parquet")
    users = pl.DataFrame({"user": [None, *range(40)], "age": [9.0, *(20.0 + i for i in range(40))]})
    users.write_parquet(folder / "users.parquet")
    pl.DataFrame({"place": range(30), "stars": [i % 5 for i in range(30)]}).write_parquet(
        folder / "stars.parquet"
    )
    places = visits().group_by("place").agg(pl.col("kind", "lat", "lon").first())
    places.write_parquet(folder / "places.parquet")
    data = {"path": str(folder / "rows.parquet"), "split": {"kind": "time", "column": "time"}}
    distance = {"kind": "distance", "origin": ["my_lat", "my_lon"], "to": ["lat", "lon"]}
    retrieval: dict[str, Any] = {
        "name": "r",
        "data": data,
        "schema": {
            "columns": {"mood": "categorical", "place": "categorical", "kind": "categorical"}
        },
        "model": {"item": ["place", "kind"], "dim": 4, "embedding_dim": 4},
        "retrieval": {
            "item": "place",
            "user": "user",
            "time": "time",
            "exclude_seen": False,
            "baselines": ["popularity"],
            "items": str(folder / "places.parquet"),
        },
        "training": {**QUICK, "epochs": 1},
    }
    ranking: dict[str, Any] = {
        "name": "k",
        "data": {
            **data,
            "joins": [
                {"path": str(folder / "users.parquet"), "on": "user"},
                {"path": str(folder / "stars.parquet"), "on": "place"},
            ],
        },
        "schema": {
            "columns": {
                "user": "categorical",
                "mood": "categorical",
                "age": "numeric",
                "kind": "categorical",
                "stars": "numeric",
                "away": distance,
                "mood_kind": {"kind": "cross", "columns": ["mood", "kind"], "hash_buckets": 50},
            },
            "tasks": {"went": "binary", "stayed": "regression"},
        },
        "model": {"name": "dcn_v2", "embedding_dim": 4, "hidden": [8]},
        "calibration": calibration,
        "blend": blend,
        "training": {**QUICK, "epochs": 1},
        "evaluation": {"group": "user", "baselines": []},
    }
    runs = [
        fit(Recipe.model_validate(plain), out=folder / plain["name"], quiet=True)
        for plain in (retrieval, ranking)
    ]
    return make_bundle(runs, folder / "bundle", candidates=30)
