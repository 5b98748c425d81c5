"""Rankers with and without counters of earlier events: test AUC of the latest rows.

MovieLens-100k: whether a rating is at least 4, split by time, the events are the rows themselves.
Drifting feed: a synthetic feed whose items are born and die, also split by time.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import data_folder, describe
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe

Plain = dict[str, Any]
FEED_COLUMNS = ("user_id", "item_id", "topic", "content_type", "position")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks counters", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000, help="of the drifting feed")
    parser.add_argument("--data", nargs="+", default=["movielens", "drifting_feed"])
    options = parser.parse_args(arguments)
    print(describe(seeds=options.seeds, rows=options.rows))
    print("| data | columns | AUC of dcn_v2 | logistic_regression |\n|---|---|---|---|")
    made = {"movielens": movielens(), "drifting_feed": drifting_feed(options.rows)}
    for name in options.data:
        plain, counters = made[name]
        print(row(name, "without counters", auc(plain, {}, options.seeds)), flush=True)
        print(row(name, "with counters", auc(plain, counters, options.seeds)), flush=True)


def ratio(event: str, by: str, window: str) -> Plain:
    return {"kind": "counter", "event": event, "per": "impression", "by": by, "window": window}


def movielens() -> tuple[Plain, Plain]:
    """Return a recipe without counters, and counters of films and of users."""
    folder = data_folder() / "movielens-100k"
    plain: Plain = {
        "data": {
            "path": str(folder / "ratings.parquet"),
            "joins": [{"path": str(folder / "users.parquet"), "on": "user_id"}],
            "split": {"kind": "time", "column": "timestamp"},
        },
        "schema": {
            "columns": {"user_id": "categorical", "movie_id": "categorical", "age": "numeric",
                        "gender": "categorical", "occupation": "categorical"},
            "tasks": {"liked": {"kind": "binary", "column": "rating", "threshold": 4}},
        },
    }  # fmt: skip
    counters = {
        "film_rate": ratio("liked", "movie_id", "60d"),
        "film_ratings": {"kind": "counter", "event": "impression", "by": "movie_id",
                         "window": "30d"},
        "user_rate": ratio("liked", "user_id", "30d"),
    }  # fmt: skip
    return plain, counters


def drifting_feed(rows: int) -> tuple[Plain, Plain]:
    """Return a recipe without counters, and counters of items and of users' topics."""
    plain: Plain = {
        "data": {"path": "world:drifting_feed", "rows": rows,
                 "split": {"kind": "time", "column": "timestamp"}},
        "schema": {
            "columns": dict.fromkeys(FEED_COLUMNS, "categorical"),
            "tasks": {"click": "binary"},
        },
    }  # fmt: skip
    counters = {
        "item_rate": ratio("click", "item_id", "7d"),
        "item_clicks": {"kind": "counter", "event": "click", "by": "item_id", "window": "1d"},
        "taste": {**ratio("click", "user_id", "14d"), "by": ["user_id", "topic"]},
    }
    return plain, counters


def auc(plain: Plain, counters: Plain, seeds: int) -> list[str]:
    schema = plain["schema"]
    whole = plain | {
        "data": plain["data"] | ({"events": "rows"} if counters else {}),
        "schema": schema | {"columns": schema["columns"] | counters},
        "model": {"name": "dcn_v2", "embedding_dim": 8, "hidden": [64, 32]},
        "training": {"epochs": 3, "batch_size": 1024},
        "evaluation": {"baselines": ["logistic_regression"]},
    }
    with tempfile.TemporaryDirectory() as folder:
        run = fit(Recipe.model_validate(whole), seeds=seeds, out=Path(folder) / "run", quiet=True)
        models = next(iter(run.metrics["tasks"].values()))
    return [spread(models[name]["auc"]) for name in ("dcn_v2", "logistic_regression")]


def spread(found: Plain) -> str:
    return f"{found['mean']:.4f}" + ("" if found["sd"] is None else f" ± {found['sd']:.4f}")


def row(name: str, words: str, cells: list[str]) -> str:
    return f"| {name} | {words} | {' | '.join(cells)} |"
