"""Our DCN-V2 and Wide & Deep against torch-rechub's: the same encoded rows, widths and epochs.

torch-rechub lives in an environment of its own: python3 -m venv peer, then
peer/bin/pip install torch torch-rechub==0.9.0, and --python peer/bin/python.
Both sides train --epochs epochs and keep the weights of the best validation AUC.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import describe, example
from benchmarks.quality import number
from crosstower.data.batch import Batch
from crosstower.data.batches import Batches
from crosstower.data.reading import source_of
from crosstower.fitting.fit import fit
from crosstower.ranking.data import Prepared, prepare
from crosstower.recipe.loading import load_recipe

PEER = Path(__file__).with_name("rechub_peer.py")
MODELS = {"dcn_v2": "DCNv2", "wide_deep": "WideDeep"}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks rechub", description=__doc__)
    parser.add_argument("--python", required=True, help="Python of torch-rechub's environment.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--data", nargs="+", default=["adult", "movielens"])
    options = parser.parse_args(arguments)
    print(describe(seeds=options.seeds, epochs=options.epochs, threads=torch.get_num_threads()))
    print("| data | model | AUC | log loss | rows/s |\n|---|---|---|---|---|")
    for name in options.data:
        with tempfile.TemporaryDirectory() as folder:
            path = example(name, Path(folder))
            compare(name, path, Path(folder), options)


def compare(name: str, path: Path, folder: Path, options: argparse.Namespace) -> None:
    overrides = [f"training.epochs={options.epochs}", f"training.patience={options.epochs}"]
    recipe = load_recipe(path, overrides)
    task = next(iter(recipe.schema_.tasks))
    overrides.append(f"training.monitor={task}.auc")
    run = fit(path, seeds=options.seeds, out=folder / "run", quiet=True, overrides=overrides)
    ready = prepare(recipe, source_of(recipe.data), spill=folder / "spill")
    export(ready, folder / "rows.npz")
    for ours, theirs in MODELS.items():
        found = run.metrics["tasks"][task][ours]
        speeds = [r["rows_per_second"] for r in run.metrics["training"][ours].values()]
        show(name, f"crosstower {ours}", found["auc"], found["log_loss"], speeds)
        seeds = range(options.seeds)
        batch = recipe.training.batch_size_for(len(ready.rows["train"]))
        runs = [train_peer(options, folder / "rows.npz", theirs, seed, batch) for seed in seeds]
        auc, loss = (summary([r[k] for r in runs]) for k in ("auc", "log_loss"))
        show(name, f"torch-rechub {theirs}", auc, loss, [r["rows_per_second"] for r in runs])


def train_peer(options: argparse.Namespace, rows: Path, model: str, seed: int, batch: int) -> dict:
    command = [options.python, PEER, rows, model, str(seed), str(options.epochs), str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=rows.parent)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def show(name: str, model: str, auc: dict, loss: dict, speeds: list[float]) -> None:
    speed = statistics.mean(speeds)
    print(f"| {name} | {model} | {number(auc)} | {number(loss)} | {speed:,.0f} |", flush=True)


def summary(values: list[float]) -> dict:
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "sd": sd}


def export(ready: Prepared, path: Path) -> None:
    """Write codes, numbers and labels of each split; crosses are codes like the others."""
    layout = ready.encoder.layout
    arrays = {"sizes": np.array([f.size for f in layout.codes])}
    arrays["deep"] = np.array([f.dim != 0 for f in layout.codes])
    for split, rows in ready.rows.items():
        batch = Batch.concatenate(list(Batches(rows, 65_536).epoch()))
        arrays[f"{split}_codes"] = batch.codes.numpy()
        arrays[f"{split}_numbers"] = batch.numbers.numpy()
        arrays[f"{split}_labels"] = batch.labels[:, 0].numpy()
    np.savez(path, **arrays)
