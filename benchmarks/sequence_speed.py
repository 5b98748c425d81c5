"""Seconds per epoch of the transformer on Amazon Beauty, alternating with RecTools' SASRec.

RecTools lives in an environment of its own: python3 -m venv peer, then
peer/bin/pip install torch==2.13.0 "rectools[torch]==0.19.0", and --python peer/bin/python.

Both learn from every position of each history without its last two items, with the same width,
blocks, heads, length and dropout, a softmax over all items, and the number of threads of this
process. RecTools has its default batch of 128 histories and float32. Ours is the example with
`pooling: transformer`, in float32 and in the precision that it chooses. The ratio is that of the
fastest epochs. Neither evaluates within the measured epochs.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import torch

from benchmarks.machine import describe, example
from crosstower.data.reading import source_of
from crosstower.fitting.fit import fit
from crosstower.recipe.loading import load_recipe
from crosstower.training.history import history

PEER = Path(__file__).with_name("sequence_speed_peer.py")
COLUMN = "schema.columns.history"
SHAPE = {"width": 64, "blocks": 2, "heads": 2, "length": 50, "dropout": 0.5}
OURS = [
    f"{COLUMN}.pooling=transformer",
    f"{COLUMN}.blocks={SHAPE['blocks']}",
    f"{COLUMN}.heads={SHAPE['heads']}",
    "training.refit=false",
    "training.patience=100",
    "retrieval.baselines=[]",
    "retrieval.valid_queries=100",
]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks sequence_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--python", required=True, help="Python of RecTools' environment.")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2, help="Of ours in a round.")
    options = parser.parse_args(arguments)
    print(describe(threads=torch.get_num_threads(), rounds=options.rounds, **SHAPE))
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = example("amazon_beauty", Path(folder))
        rows = training_rows(path)
        rows.write_csv(Path(folder) / "rows.csv")
        for number in range(options.rounds):
            seconds.setdefault("RecTools SASRec, float32", []).append(peer(options, Path(folder)))
            for precision in ("float32", "auto"):
                out = Path(folder) / f"{precision}-{number}"
                found = ours(path, precision, options.epochs, out)
                seconds.setdefault(f"crosstower, {precision}", []).extend(found)
    targets = len(rows) - rows["user"].n_unique()
    print(f"{targets:,} targets\n\n| contender | fastest epoch, s | targets/s | × RecTools |")
    print("|---|---|---|---|")
    slowest = min(seconds["RecTools SASRec, float32"])
    for name, found in seconds.items():
        best = min(found)
        print(f"| {name} | {best:.1f} | {targets / best:,.0f} | {slowest / best:.1f} |")


def training_rows(path: Path) -> pl.DataFrame:
    """Return the rows of all users without the last two of each."""
    recipe = load_recipe(path)
    source = source_of(recipe.data)
    rows = pl.concat([c.frame for c in source.chunks(["user", "item", "position"])])
    latest = pl.col("position").rank("ordinal", descending=True).over("user")
    return rows.filter(latest > 2).sort("user", "position")


def peer(options: argparse.Namespace, folder: Path) -> float:
    settings = json.dumps({**SHAPE, "threads": torch.get_num_threads()})
    command = [options.python, str(PEER), str(folder / "rows.csv"), settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.splitlines()[-1])


def ours(path: Path, precision: str, epochs: int, out: Path) -> list[float]:
    """Return the seconds of each epoch, without those of its evaluation."""
    overrides = [*OURS, f"training.precision={precision}", f"training.epochs={epochs}"]
    run = fit(path, overrides=overrides, out=out, quiet=True)
    records: list[dict[str, Any]] = history(run, "two_tower", 0)
    return [record["seconds"] for record in records if record["seconds"]]  # 0 without a step
