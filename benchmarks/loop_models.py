"""Rows and models of the closed loop: from a log of lists to a bundle."""

from pathlib import Path
from typing import Any

import polars as pl

from crosstower import Recipe, fit, make_bundle

COLUMNS = ("user_id", "item_id", "topic", "content_type", "timestamp", "click", "like")
_ITEM = {"item_id": "categorical", "topic": "categorical", "content_type": "categorical"}
_HISTORY = {"kind": "sequence", "table": "item_id", "max_len": 30, "pooling": "mean"}


def recipes(items: Path, *, live: bool, epochs: int) -> tuple[Recipe, Recipe]:
    """Return the recipes of retrieval and ranking.

    Args:
        items: table of all items of the rows.
        live: whether the server extends histories by click events.
        epochs: of both trainings.

    """
    split = {"kind": "random"}  # a split by time would keep the newest rows from the models
    taste = {"kind": "cross", "columns": ["user_id", "topic"], "hash_buckets": 20_000, "dim": 8}
    training = {"epochs": epochs, "batch_size": 512, "embedding_learning_rate": 0.01}
    retrieval: dict[str, Any] = {
        "name": "retrieval",
        "data": {"split": split},
        "schema": {"columns": {"user_id": "categorical", "history": _HISTORY, **_ITEM}},
        "model": {"name": "two_tower", "item": list(_ITEM), "dim": 32, "embedding_dim": 16},
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
        "training": training,
    }
    ranking = {
        "name": "ranking",
        "data": {"split": split},
        "schema": {
            "columns": {"user_id": "categorical", **_ITEM, "taste": taste},
            "tasks": {"click": "binary", "like": "binary"},
        },
        "model": {"name": "shared_bottom", "trunk": {"name": "dcn_v2", "hidden": [64, 32]}},
        "blend": {"weights": {"click": 1, "like": 2}, "transform": "identity"},
        "evaluation": {"group": "user_id", "baselines": []},
        "training": training,
    }
    return Recipe.model_validate(retrieval), Recipe.model_validate(ranking)


def loop_bundle(
    folder: Path,
    rows: pl.DataFrame,
    items: pl.DataFrame,
    *,
    live: bool,
    epochs: int,
    candidates: int,
) -> Path:
    """Fit both models in a new folder and return the folder of their bundle."""
    folder.mkdir(parents=True)
    items.write_parquet(folder / "items.parquet")
    given = recipes(folder / "items.parquet", live=live, epochs=epochs)
    frame = rows.select(COLUMNS).sort("timestamp", maintain_order=True)
    runs = [fit(r, data=frame, out=folder / r.name, quiet=True) for r in given]
    return make_bundle(
        runs, folder / "bundle", index="exact", candidates=candidates, data=frame
    ).folder


def event_rows(events: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Return one row per impression, labelled by the clicks and likes on it.

    Args:
        events: of the types impression, click and like.
        items: attributes by item_id.

    """
    shown = events.filter(pl.col("type") == "impression")
    rows = shown.select(
        "request_id", "item_id", user_id="user", timestamp=pl.col("time").dt.epoch("s")
    )
    for label in ("click", "like"):
        found = events.filter(pl.col("type") == label).select("request_id", "item_id")
        marked = found.unique().with_columns(pl.lit(1, pl.Int8).alias(label))
        rows = rows.join(marked, on=["request_id", "item_id"], how="left")
    rows = rows.with_columns(pl.col("click", "like").fill_null(0))
    return rows.join(items, on="item_id", how="left", maintain_order="left").select(COLUMNS)
