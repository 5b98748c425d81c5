"""The first models of the closed loop: recipes, runs and their bundle.

Without live histories, both models know a user by the id: the ranker learns a vector per user and
topic. With them, the query tower reads the newest clicks and the ranker reads counters, which are
counted at each request: clicks and likes per impression of the user on the topic, clicks per
impression of the user, and of the topic. The position is a feature too, so that the top of a list
does not look better than it is; every request has position 1.

`python -m benchmarks loop --compare` compares rankers on the last two days of the warm-up, before
any test day.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from crosstower import Recipe, fit, make_bundle

COLUMNS = (
    "user_id", "item_id", "topic", "content_type", "born", "position", "timestamp", "click", "like",
)  # fmt: skip
_TOWER = {"item_id": "categorical", "topic": "categorical", "content_type": "categorical"}
_ABOUT = {"topic": "categorical", "content_type": "categorical", "born": "numeric"}
_HISTORY = {"kind": "sequence", "table": "item_id", "max_len": 30, "pooling": "mean"}
_POSITION = {"position": {"kind": "numeric", "transform": "log1p"}}
_TASTE = {"kind": "cross", "columns": ["user_id", "topic"], "hash_buckets": 20_000, "dim": 8}


def _rate(event: str, by: list[str], window: str) -> dict[str, Any]:
    return {"kind": "counter", "event": event, "per": "impression", "by": by, "window": window}


_COUNTERS = {
    "taste_week": _rate("click", ["user_id", "topic"], "7d"),
    "taste_now": _rate("click", ["user_id", "topic"], "2d"),
    "liked_week": _rate("like", ["user_id", "topic"], "7d"),
    "user_now": _rate("click", ["user_id"], "2d"),
    "topic_now": _rate("click", ["topic"], "1d"),
}
_SHORTER = _COUNTERS | {
    "taste_week": _rate("click", ["user_id", "topic"], "4d"),
    "taste_now": _rate("click", ["user_id", "topic"], "1d"),
    "liked_week": _rate("like", ["user_id", "topic"], "4d"),
}
RANKERS: dict[str, dict[str, Any]] = {
    "ids": {
        "user_id": "categorical",
        "item_id": "categorical",
        **_ABOUT,
        "taste": _TASTE,
        **_POSITION,
    },
    "ids, no item": {"user_id": "categorical", **_ABOUT, "taste": _TASTE, **_POSITION},
    "counters": {**_ABOUT, **_COUNTERS, **_POSITION},
    "counters, shorter": {**_ABOUT, **_SHORTER, **_POSITION},
    "counters, ids": {
        "user_id": "categorical",
        **_ABOUT,
        "taste": _TASTE,
        **_COUNTERS,
        **_POSITION,
    },
}
_RANKER = {False: "ids, no item", True: "counters"}  # by whether the server's counts are live


@dataclass(frozen=True)
class Models:
    """The runs of a first bundle, the rows that they were trained on, and the bundle."""

    rows: Path
    retrieval: Path
    ranking: Path
    bundle: Path


def retrieval_recipe(rows: Path, items: Path, *, live: bool, epochs: int) -> Recipe:
    """Return the recipe of retrieval; `live` if click events extend histories in the server."""
    plain: dict[str, Any] = {
        "name": "retrieval",
        "data": {"path": str(rows), "split": {"kind": "random"}},
        "schema": {"columns": {"user_id": "categorical", "history": _HISTORY, **_TOWER}},
        "model": {"name": "two_tower", "item": list(_TOWER), "dim": 32, "embedding_dim": 16},
        "retrieval": {
            "user": "user_id",
            "item": "item_id",
            "time": "timestamp",
            "history": {"column": "history", "events": ["click"]} if live else "history",
            "where": "click == 1",
            "items": str(items),
            "objective": "full_softmax",
            "baselines": [],
        },
        "training": _training(epochs),
    }
    return Recipe.model_validate(plain)


def ranking_recipe(columns: dict[str, Any], epochs: int, data: dict[str, Any]) -> Recipe:
    """Return the recipe of a ranker; each row is the event of an impression, a click and a like."""
    counts = any(isinstance(c, dict) and c["kind"] == "counter" for c in columns.values())
    events = {"events": "rows", "time": "timestamp"} if counts else {}
    plain: dict[str, Any] = {
        "name": "ranking",
        "data": data | events,
        "schema": {"columns": columns, "tasks": {"click": "binary", "like": "binary"}},
        "model": {"name": "shared_bottom", "trunk": {"name": "dcn_v2", "hidden": [64, 32]}},
        "blend": {"weights": {"click": 1, "like": 2}, "transform": "identity"},
        "evaluation": {"group": "user_id", "baselines": []},
        "training": _training(epochs),
    }
    return Recipe.model_validate(plain)


def _training(epochs: int) -> dict[str, Any]:
    return {"epochs": epochs, "batch_size": 512, "embedding_learning_rate": 0.01, "refit": True}


def first_models(
    folder: Path,
    rows: pl.DataFrame,
    items: pl.DataFrame,
    *,
    live: bool,
    epochs: int,
    candidates: int,
) -> Models:
    """Fit both models and bundle them, or return those that a folder has.

    As the ranker scores all items by default, the retriever trains for one epoch only.

    Args:
        folder: to create.
        rows: log of lists.
        items: all items of the rows.
        live: whether the server's events extend histories and counters.
        epochs: at most, of the ranker.
        candidates: number of items that the ranker scores.

    """
    path = folder / "rows.parquet"
    models = Models(path, folder / "retrieval", folder / "ranking", folder / "bundle")
    if models.bundle.is_dir():
        return models
    folder.mkdir(parents=True)
    items.write_parquet(folder / "items.parquet")
    time = pl.from_epoch("timestamp", "s").cast(pl.Datetime("us", "UTC"))
    frame = with_birth(rows, items).select(COLUMNS).with_columns(time)
    frame.sort("timestamp", maintain_order=True).write_parquet(path)
    data: dict[str, Any] = {"path": str(path), "split": {"kind": "random"}}
    recipes = (
        retrieval_recipe(path, folder / "items.parquet", live=live, epochs=1),
        ranking_recipe(RANKERS[_RANKER[live]], epochs, data),
    )
    runs = [fit(recipe, out=folder / recipe.name, quiet=True) for recipe in recipes]
    make_bundle(runs, models.bundle, index="exact", candidates=candidates)
    return models


def with_birth(rows: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the time of birth of their items."""
    born = items.select("item_id", "born")
    return rows.join(born, on="item_id", how="left", maintain_order="left")
