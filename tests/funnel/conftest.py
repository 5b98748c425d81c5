import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.blending.blender import fit_blend
from crosstower.data.datasets.worlds.rentals import listings
from crosstower.fitting.fit import fit
from crosstower.recipe.blend import Blend
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import BLEND, VALID, Run

BUCKETISED = {"kind": "numeric", "transform": "bucketise"}
QUICK = {"epochs": 2, "precision": "float32", "embedding_learning_rate": 0.02}
GENRES = ["drama", "comedy", "war"]


@dataclass(frozen=True)
class Runs:
    retrieval: Run
    ranking: Run


def rentals_recipes(folder: Path) -> tuple[Recipe, Recipe]:
    """A retriever and a ranker of the same simulated rows, split by time.

    A few listings are in no training row. The world's formula is about all of them, so the
    retriever has a table of their columns.
    """
    table = listings().select("listing_id", "city", "price", "amenities")
    table.write_parquet(folder / "listings.parquet")
    data = {
        "path": "world:rentals",
        "rows": 20_000,
        "split": {"kind": "time", "column": "timestamp"},
    }
    query = {"home_city": "categorical", "budget": BUCKETISED, "wanted": "categorical"}
    item = {
        "listing_id": "categorical",
        "city": "categorical",
        "price": BUCKETISED,
        "amenities": "bag",
    }
    retrieval: dict[str, Any] = {
        "name": "retrieval",
        "data": data,
        "schema": {"columns": query | item},
        "model": {"item": list(item), "dim": 8, "query_hidden": [8], "item_hidden": [8]},
        "retrieval": {
            "user": "user_id",
            "item": "listing_id",
            "items": str(folder / "listings.parquet"),
            "time": "timestamp",
            "where": "click == 1",
            "baselines": ["popularity"],
        },
        "training": QUICK,
    }
    tasks = {"click": "binary", "booking": "binary"}
    ranking: dict[str, Any] = {
        "name": "ranking",
        "data": data,
        "schema": {"columns": {"user_id": "categorical"} | query | item, "tasks": tasks},
        "model": {"name": "shared_bottom", "embedding_dim": 8},
        "training": QUICK,
        "evaluation": {"baselines": []},
    }
    return Recipe.model_validate(retrieval), Recipe.model_validate(ranking)


@pytest.fixture(scope="session")
def rentals(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Finished runs; tests read them only."""
    folder = tmp_path_factory.mktemp("rentals")
    retrieval, ranking = (
        fit(recipe, out=folder / recipe.name, quiet=True) for recipe in rentals_recipes(folder)
    )
    return Runs(retrieval, ranking)


@pytest.fixture(scope="session")
def blended(rentals: Runs, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The same with a blend: bookings count more, at most two listings of a city in the first 5."""
    folder = tmp_path_factory.mktemp("blended") / "ranking"
    shutil.copytree(rentals.ranking.folder, folder)
    run = Run.open(folder)
    place = run.model_folder("shared_bottom", 0)
    spec = Blend.model_validate(
        {
            "weights": {"click": 1, "booking": 20},
            "diversity": {"top": 5, "by": "city", "caps": {"*": 2}},
        }
    )
    kinds = {"click": "binary", "booking": "binary"}
    fit_blend(spec, kinds, pl.read_parquet(place / VALID)).save(place / BLEND)  # type: ignore[arg-type]
    return Runs(rentals.retrieval, run)


def films() -> pl.DataFrame:
    """40 films; nobody has watched the last one, whose year is not known."""
    return pl.DataFrame(
        {
            "film": [f"f{i:02d}" for i in range(40)],
            "genre": [GENRES[i % 3] for i in range(40)],
            "year": [str(1980 + i) for i in range(39)] + ["unknown"],
        }
    )


def watches(count: int = 2_000, seed: int = 0) -> pl.DataFrame:
    """50 users, who like films of one genre, at some hour."""
    random = np.random.default_rng(seed)
    user, film = random.integers(0, 50, count), random.integers(0, 39, count)
    liked = random.random(count) < np.where(film % 3 == user % 3, 0.7, 0.3)
    return pl.DataFrame(
        {
            "user": user,
            "film": [f"f{i:02d}" for i in film],
            "time": np.arange(count),
            "device": random.choice(["tv", "phone"], count),
            "hour": random.integers(0, 24, count),
            "liked": liked.astype(np.int8),
        }
    )


def films_recipes(folder: Path, split: dict[str, Any]) -> tuple[Recipe, Recipe]:
    """A retriever of liked films, and a ranker that joins the films and looks at the hour."""
    films().write_parquet(folder / "films.parquet")
    watches().write_parquet(folder / "rows.parquet")
    data = {"path": str(folder / "rows.parquet"), "split": split}
    retrieval: dict[str, Any] = {
        "name": "retrieval",
        "data": data,
        "schema": {
            "columns": {"device": "categorical", "film": "categorical", "genre": "categorical"}
        },
        "model": {"item": ["film", "genre"], "dim": 4, "embedding_dim": 4},
        "retrieval": {
            "item": "film",
            "user": "user",
            "time": "time",
            "items": str(folder / "films.parquet"),
            "where": "liked == 1",
            "exclude_seen": False,
            "baselines": ["popularity"],
        },
        "training": {**QUICK, "epochs": 1},
    }
    ranking: dict[str, Any] = {
        "name": "ranking",
        "data": {
            **data,
            "joins": [{"path": str(folder / "films.parquet"), "on": "film"}],
            "on_bad_rows": "skip",
        },
        "schema": {
            "columns": {
                "user": "categorical",
                "device": "categorical",
                "hour": "numeric",
                "film": "categorical",
                "genre": "categorical",
                "year": "numeric",
            },
            "tasks": {"liked": "binary"},
        },
        "model": {"name": "mlp", "embedding_dim": 4, "hidden": [8]},
        "training": {**QUICK, "epochs": 1},
        "evaluation": {"baselines": []},
    }
    return Recipe.model_validate(retrieval), Recipe.model_validate(ranking)


@pytest.fixture(scope="session")
def cinema(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Finished runs on films, split by the last row of each user; tests read them only."""
    folder = tmp_path_factory.mktemp("films")
    split = {"kind": "leave_last_out", "group": "user", "time": "time"}
    retrieval, ranking = (
        fit(recipe, out=folder / recipe.name, quiet=True) for recipe in films_recipes(folder, split)
    )
    return Runs(retrieval, ranking)
