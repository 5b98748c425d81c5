"""Daily increments of a drifting feed: warm starts against training from zero on all rows."""

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import polars as pl
from sklearn.metrics import roc_auc_score

import crosstower as ct
from benchmarks.machine import describe
from crosstower.data.datasets.worlds.drifting_feed import (
    DAY,
    START,
    DriftingFeed,
    drifting_feed_schema,
)
from crosstower.recipe.own_columns import PREDICTION
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import TEST, Run


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks warm_start", description=__doc__)
    parser.add_argument("--base", type=int, default=21, help="days of the first training run")
    parser.add_argument("--days", type=int, default=7, help="daily increments")
    parser.add_argument("--users", type=int, default=600, help="with a session of 10 rows per day")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model", default="dcn_v2")
    options = parser.parse_args(arguments)
    print(describe(**vars(options)))
    print("| seed | day | rows of the day | AUC warm | AUC from zero | AUC never trained again |"
          " s warm | s from zero |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    found: list[tuple[float, float]] = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found += _one(options, seed, Path(folder))
    gaps = [gap for gap, _ in found]
    error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
    last = statistics.mean(gaps[options.days - 1 :: options.days])
    print(
        f"\nAUC of warm starts minus that from zero: {statistics.mean(gaps):+.4f} ± {error:.4f}"
        f" over all increments (mean and its error), {last:+.4f} after the last one, at"
        f" {statistics.mean(share for _, share in found):.0%} of the time"
    )


def _one(options: argparse.Namespace, seed: int, folder: Path) -> list[tuple[float, float]]:
    """Return the difference of AUC and the ratio of times, per increment."""
    feed = DriftingFeed(seed, users=options.users, items=options.users // 2, sessions=1.0)
    frame = feed.log(10 * options.users * (options.base + options.days + 2))
    frame = frame.with_columns(day=(pl.col("timestamp") - START) // DAY)
    recipe = Recipe(
        schema=drifting_feed_schema(),
        model={"name": options.model, "embedding_dim": 16},
        training={"precision": "float32"},
        evaluation={"baselines": ()},
    )
    once = _update(recipe, patience=1, epochs=3)
    first = options.base - 1
    before = frame.filter(pl.col("day") <= first)
    start, _ = _fit(recipe, before, _day(frame, first + 1), folder / "base")
    frozen, found = start, list[tuple[float, float]]()
    for day in range(first + 1, first + 1 + options.days):
        rows, test = _day(frame, day), _day(frame, day + 1)
        warm, warm_time = _fit(once, rows, test, folder / f"w{day}", start)
        everything = frame.filter(pl.col("day") <= day)
        cold, cold_time = _fit(recipe, everything, test, folder / f"c{day}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ct.CrosstowerWarning)  # about items born since
            scores = frozen.predict(test)[f"click{PREDICTION}"]
        stale = roc_auc_score(test["click"], scores)
        found.append((_auc(warm) - _auc(cold), warm_time / cold_time))
        start = warm
        print(f"| {seed} | {day} | {rows.height:,} | {_auc(warm):.4f} | {_auc(cold):.4f}"
              f" | {stale:.4f} | {warm_time:.1f} | {cold_time:.1f} |", flush=True)  # fmt: skip
    return found


def _day(frame: pl.DataFrame, day: int) -> pl.DataFrame:
    return frame.filter(pl.col("day") == day)


def _update(recipe: Recipe, **training: Any) -> Recipe:
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=training)})


def _fit(
    recipe: Recipe,
    rows: pl.DataFrame,
    test: pl.DataFrame,
    out: Path,
    start: Run | None = None,
) -> tuple[Run, float]:
    """Train on nine tenths of the sessions, validate on the others."""
    valid = rows["session_id"].hash(1) % 10 == 0
    parts = {"train": rows.filter(~valid), "valid": rows.filter(valid)}
    parts["test"] = test
    began = time.perf_counter()
    run = ct.fit(recipe, data=parts, out=out, warm_start=start, quiet=True)
    return run, time.perf_counter() - began


def _auc(run: Run) -> float:
    test = pl.read_parquet(run.model_folder(next(iter(run.info.models)), 0) / TEST)
    return float(roc_auc_score(test["click"], test[f"click{PREDICTION}"]))
