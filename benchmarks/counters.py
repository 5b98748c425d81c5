"""Rankers with and without counters of earlier events: test AUC of the latest rows.

MovieLens-100k: whether a rating is at least 4, split by time, the events are the rows themselves.
Drifting feed: a synthetic feed whose items are born and die, also split by time.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import data_folder, describe
from crosstower.data.counters.counted_source import counted_training_source
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe

Plain = dict[str, Any]
FEED_COLUMNS = ("user_id", "item_id", "topic", "content_type", "position")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks counters", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000, help="of the drifting feed")
    parser.add_argument("--data", nargs="+", default=["movielens", "drifting_feed"])
    parser.add_argument("--speed", action="store_true", help="time of 5 M events and 1 M rows")
    options = parser.parse_args(arguments)
    if options.speed:
        speed()
        return
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


def speed(events: int = 5_000_000, rows: int = 1_000_000) -> None:
    """Print the CPU time and the memory of reading a log and counting it in rows."""
    print(describe(events=events, rows=rows))
    names = ("item_rate", "item_clicks", "taste")
    counters = {name: drifting_feed(rows)[1][name] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        make = [sys.executable, "-c", _MAKE, folder, str(events), str(rows)]
        subprocess.run(make, check=True)
        recipe = Recipe.model_validate({
            "data": {"path": f"{folder}/rows.parquet", "events": f"{folder}/events.parquet",
                     "time": "time"},
            "schema": {"columns": counters, "tasks": {"click": "binary"}},
        })  # fmt: skip
        source, before = counted_training_source(recipe), peak_memory()
        begin = time.process_time()
        counts = source.history.counts
        read = time.process_time()
        for _chunk in source.chunks(source.columns()):
            pass
        counted = time.process_time()
    print(
        f"{len(counts)} counts: reading {read - begin:.1f} s, counting {counted - read:.1f} s of"
        f" CPU; memory at its peak {(peak_memory() - before) / events:.0f} bytes per event"
    )


def peak_memory() -> float:
    """Return the highest memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# In a process of its own, whose memory is not measured.
_MAKE = """
import sys
import numpy as np, polars as pl
folder, events, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random = np.random.default_rng(0)
for name, count in (("events", events), ("rows", rows)):
    pl.DataFrame({
        "time": random.integers(1_700_000_000, 1_705_000_000, count),
        "user_id": random.zipf(1.3, count) % 200_000,
        "item_id": random.zipf(1.2, count) % 100_000,
        "topic": random.integers(0, 50, count),
        "type": random.choice(["click", "impression"], count),
        "click": random.integers(0, 2, count),
    }).write_parquet(f"{folder}/{name}.parquet")
"""


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
