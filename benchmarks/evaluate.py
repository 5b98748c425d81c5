"""Cost of validation after an epoch, as a share of the epoch: AUC and gAUC of a ranker.

The click log of `train`, with users, through `crosstower.fit`: eight tenths of the rows train, a
tenth is predicted and measured after each epoch, twice: without and with the AUC within users. The
cost of ranking the whole catalogue is measured by `python -m benchmarks retrieve`.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.click_log import write_click_log
from benchmarks.machine import describe
from crosstower import fit
from crosstower.recipe.recipe import Recipe

USERS = 20_000


def table(rows: int, ids: int, folder: Path) -> pl.DataFrame:
    """Return the click log as a table, and a user for each row."""
    write_click_log(folder / "log.npz", rows=rows, ids=ids)
    with np.load(folder / "log.npz") as log:
        codes, numbers, click = log["codes"], log["numbers"], log["labels"][:, 0]
    users = np.random.default_rng(0).integers(0, USERS, rows)
    columns = {f"C{i}": column for i, column in enumerate(codes.T)}
    columns |= {f"I{i}": column for i, column in enumerate(numbers.T)}
    return pl.DataFrame({**columns, "user": users, "click": click.astype(np.int8)})


def recipe(group: str | None) -> Recipe:
    columns = {f"C{i}": "categorical" for i in range(26)} | {f"I{i}": "numeric" for i in range(13)}
    return Recipe.model_validate(
        {
            "name": "log",
            "schema": {"columns": columns, "tasks": {"click": "binary"}},
            "model": {"name": "dcn_v2", "cross_layers": 3, "hidden": [400, 400]},
            "training": {"epochs": 2, "batch_size": 4_096},
            "evaluation": {"group": group, "baselines": []},
        }
    )


def shares(frame: pl.DataFrame, group: str | None, out: Path) -> list[tuple[float, float]]:
    """Return seconds of training and of validation of each epoch."""
    fit(recipe(group), data=frame, out=out, quiet=True)
    lines = (line for path in out.rglob("metrics.jsonl") for line in path.read_text().splitlines())
    records = [json.loads(line) for line in lines]
    return [(r["seconds"], r["validation_seconds"]) for r in records if "seconds" in r]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks evaluate", description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--ids", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    print(describe(rows=options.rows, ids=options.ids, users=USERS))
    print("| metrics | an epoch s | validation s | share |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        frame = table(options.rows, options.ids, Path(folder))
        for name, group in (("AUC", None), ("AUC and gAUC", "user")):
            found = shares(frame, group, Path(folder) / name)
            epoch, validation = (statistics.median(column) for column in zip(*found, strict=True))
            share = statistics.median(v / e for e, v in found)
            print(f"| {name} | {epoch:.2f} | {validation:.2f} | {share:.1%} |", flush=True)
