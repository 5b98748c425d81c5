from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run

GENRES = ["drama", "comedy", "war"]


def films() -> pl.DataFrame:
    """60 films, 20 a genre; the last three were never watched."""
    return pl.DataFrame(
        {
            "film": [f"f{i:02d}" for i in range(60)],
            "genre": [GENRES[i % 3] for i in range(60)],
            "title": [f"a {GENRES[i % 3]} number {i}" for i in range(60)],
            "year": [1960 + i for i in range(60)],
        }
    )


def watches(count: int = 4000, seed: int = 0) -> pl.DataFrame:
    """120 users who nearly always watch one genre; `asks` says it in words."""
    random = np.random.default_rng(seed)
    user = random.integers(0, 120, count)
    genre = np.where(random.random(count) < 0.95, user % 3, random.integers(0, 3, count))
    film = random.integers(0, 19, count) * 3 + genre
    return pl.DataFrame(
        {
            "user": user,
            "film": [f"f{i:02d}" for i in film],
            "time": np.arange(count),
            "device": random.choice(["tv", "phone"], count),
            "asks": [f"something of {GENRES[u % 3]}" for u in user],
            "liked": (random.random(count) < 0.8).astype(np.int8),
        }
    )


def recipe(folder: Path, **changes: Any) -> Recipe:
    films().write_parquet(folder / "films.parquet")
    watches().write_parquet(folder / "rows.parquet")
    plain: dict[str, Any] = {
        "name": "films",
        "data": {
            "path": str(folder / "rows.parquet"),
            "split": {"kind": "leave_last_out", "group": "user", "time": "time"},
        },
        "schema": {
            "columns": {
                "had": {"kind": "sequence", "table": "film", "max_len": 5, "pooling": "attention"},
                "device": "categorical",
                "film": "categorical",
                "genre": "categorical",
            }
        },
        "model": {"item": ["film", "genre"], "embedding_dim": 8, "dim": 8},
        "retrieval": {
            "item": "film",
            "user": "user",
            "time": "time",
            "history": "had",
            "items": str(folder / "films.parquet"),
            "exclude_seen": False,
        },
        "training": {
            "epochs": 4,
            "batch_size": 128,
            "precision": "float32",
            "learning_rate": 0.01,
            "embedding_learning_rate": 0.03,
        },
    }
    for section, values in changes.items():
        plain[section] = {**plain[section], **values}
    return Recipe.model_validate(plain)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of two seeds; tests read it only."""
    folder = tmp_path_factory.mktemp("films")
    return fit(recipe(folder), out=folder / "run", seeds=2, quiet=True)


@pytest.fixture(scope="session")
def search_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run without users: from the words of `asks` to films with titles."""
    folder = tmp_path_factory.mktemp("search")
    columns = {
        "asks": {"kind": "text"},
        "title": {"kind": "text", "table": "asks"},
        "genre": "categorical",
    }
    plain = recipe(folder).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    plain["data"]["split"] = {"kind": "random"}
    plain["schema"] = {"columns": columns}
    plain["model"]["item"] = ["title", "genre"]
    plain["retrieval"] = {"item": "film", "items": str(folder / "films.parquet")}
    return fit(Recipe.model_validate(plain), out=folder / "run", quiet=True)
