"""Rankers of the closed loop, compared within its warm-up: the last two days are the test rows."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.loop_models import RANKERS, ranking_recipe, with_birth
from benchmarks.loop_policies import Feed
from crosstower import fit
from crosstower.data.datasets.worlds.drift import DAY, START

_METRICS = ("auc", "gauc", "log_loss")


def compare(options: argparse.Namespace) -> None:
    """Print test metrics of clicks per ranker, mean ± sd over seeds."""
    print(f"| ranker | {' | '.join(_METRICS)} |\n|---|{'---|' * len(_METRICS)}")
    rows = {seed: divided(options, seed) for seed in options.seeds}
    for name, columns in RANKERS.items():
        found = [metrics(columns, rows[seed], options.epochs) for seed in options.seeds]
        print(f"| {name} | {' | '.join(mean_sd([of[m] for of in found]) for m in _METRICS)} |")


def divided(options: argparse.Namespace, seed: int) -> pl.DataFrame:
    """Return the log of the warm-up with the part that each row belongs to."""
    time, end = pl.col("timestamp"), START + DAY * options.warm_up
    part = (
        pl.when(time >= end - 2 * DAY)
        .then(pl.lit("test"))
        .when(time >= end - 3 * DAY)
        .then(pl.lit("valid"))
        .otherwise(pl.lit("train"))
    )
    feed = Feed(options, seed)
    rows = feed.log.cast({"timestamp": pl.Int64}).with_columns(part=part)
    return with_birth(rows, feed.catalogue())


def metrics(columns: dict[str, Any], rows: pl.DataFrame, epochs: int) -> dict[str, float]:
    """Return the test metrics of clicks."""
    data = {"split": {"kind": "column", "column": "part"}}
    recipe = ranking_recipe(columns, epochs, data)
    with tempfile.TemporaryDirectory() as folder:
        run = fit(recipe, data=rows, out=Path(folder) / "run", quiet=True)
        found = run.metrics["tasks"]["click"]["shared_bottom"]
    return {name: found[name]["mean"] for name in _METRICS}


def mean_sd(values: list[float]) -> str:
    sd = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{sd}"
