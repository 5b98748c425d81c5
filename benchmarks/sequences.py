"""Next item of a user: encoders of histories on Amazon Beauty and Sports, over seeds.

Every run is a recipe of `examples/` with overrides. By default each encoder is tested: Recall@10
and NDCG@10 of the last item of each user, all items ranked. With `--choose` nothing is tested: the
settings of `SETTINGS` are trained once each and compared on the validation queries.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.machine import describe, example

DATA = ("amazon_beauty", "amazon_sports")
COLUMN = "schema.columns.history"
ENCODERS: dict[str, list[str]] = {
    "bsarec": [],
    "transformer": [f"{COLUMN}.pooling=transformer"],
    "hstu": [f"{COLUMN}.pooling=hstu"],
    "attention": [
        f"{COLUMN}.pooling=attention",
        f"{COLUMN}.max_len=20",
        "training.embedding_learning_rate=0.003",
    ],
}
"""Overrides of the example by encoder; `attention` is one block, with a training row per query."""

SETTINGS: dict[str, list[str]] = {
    "as in the example": [],
    "learning rate 0.0005": [
        "training.learning_rate=0.0005",
        "training.embedding_learning_rate=0.0005",
    ],
    "batch 256": ["training.batch_size=256"],
    "batch 1024": ["training.batch_size=1024"],
    "alpha 0.5": [f"{COLUMN}.alpha=0.5"],
    "alpha 0.9": [f"{COLUMN}.alpha=0.9"],
    "cutoff 9": [f"{COLUMN}.cutoff=9"],
    "heads 4": [f"{COLUMN}.heads=4"],
    "blocks 1": [f"{COLUMN}.blocks=1"],
    "dropout 0.6": ["model.dropout=0.6"],
}
"""Overrides of the example that `--choose` compares."""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sequences", description=__doc__)
    parser.add_argument("--data", nargs="+", default=DATA, choices=DATA)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), choices=list(ENCODERS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--choose", action="store_true", help="compare settings on validation")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("-o", "--override", action="append", default=[])
    options = parser.parse_args(arguments)
    seeds = 1 if options.choose else options.seeds
    print(describe(seeds=seeds, overrides=options.override or "none"))
    for name in options.data:
        print(f"{name}\n\n{head(options.choose)}")
        chosen = options.settings if options.choose else options.encoders
        for which in chosen:
            overrides = (SETTINGS if options.choose else ENCODERS)[which] + options.override
            print(row(which, name, overrides, seeds, choose=options.choose), flush=True)
        print()


def head(choose: bool) -> str:
    queries = "validation" if choose else "test"
    names = f"Recall@10 ({queries}) | NDCG@10 ({queries}) | best epoch | seconds per epoch"
    return f"| {'setting' if choose else 'encoder'} | {names} |\n|---|---|---|---|---|"


def row(which: str, name: str, overrides: list[str], seeds: int, *, choose: bool) -> str:
    """Return one line of the table."""
    from crosstower.fitting.fit import fit
    from crosstower.training.history import history

    with tempfile.TemporaryDirectory() as folder:
        recipe, out = example(name, Path(folder)), Path(folder) / "run"
        once = ["training.refit=false"] if choose else []
        changes = ["retrieval.baselines=[]", *once, *overrides]
        run = fit(recipe, seeds=seeds, out=out, quiet=True, overrides=changes)
        epochs = [history(run, "two_tower", seed) for seed in run.info.seeds]
        tested = run.metrics["retrieval"]["two_tower"]
    best = [max(found, key=lambda r: r["valid"]["retrieval.ndcg@10"]) for found in epochs]
    cells = [which]
    for metric in ("recall@10", "ndcg@10"):
        valid = [record["valid"][f"retrieval.{metric}"] for record in best]
        known = tested[metric]
        figures = (mean(valid), spread(valid)) if choose else (known["mean"], known["sd"])
        cells.append(f"{figures[0]:.4f}" + ("" if seeds == 1 else f" ± {figures[1]:.4f}"))
    cells.append(f"{mean(record['epoch'] + 1 for record in best):.1f}")
    cells.append(f"{mean(seconds(found) for found in epochs):.1f}")
    return f"| {' | '.join(cells)} |"


def spread(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def seconds(records: list[dict[str, Any]]) -> float:
    """Return the training seconds of an epoch, without validation."""
    return mean(record["seconds"] for record in records)
