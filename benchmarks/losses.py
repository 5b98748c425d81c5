"""Losses of a ranker, compared by the order within requests and by calibration.

One model per loss and seed on the clicks of the restaurants and rentals worlds; each seed
draws its own rows. A tenth of the requests validates and a fifth tests. Every run stops early
by the validation NDCG@10 of clicks, so that losses differ in nothing else. Log loss and ECE are
those of the plain predictions and, after the arrow, of predictions calibrated on the validation
rows (Platt). NDCG of relevance uses the true relevance of the world, which clicks show only through
position bias.
Its difference to that of the first loss is over seeds with the same rows.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

import crosstower as ct
from benchmarks import per_seed
from benchmarks.machine import describe
from crosstower.data.datasets import worlds
from crosstower.evaluation.metrics.ndcg import ndcg_per_group
from crosstower.training.history import history
from crosstower.training.run import TEST

WORLDS = ("restaurants", "rentals")
LOSSES: dict[str, Any] = {
    "cross_entropy": "cross_entropy",
    "ranknet": "ranknet",
    "bpr": "bpr",
    "softmax": "softmax",
    "jrc, alpha 0.9": {"name": "jrc", "alpha": 0.9},
    "jrc, alpha 0.5": {"name": "jrc", "alpha": 0.5},
    "jrc, alpha 0.1": {"name": "jrc", "alpha": 0.1},
}
COLUMNS = ("ndcg@10", "relevance_ndcg@10", "auc", "log_loss", "ece")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks losses", description=__doc__)
    parser.add_argument("--worlds", nargs="+", default=WORLDS)
    parser.add_argument("--losses", nargs="+", default=list(LOSSES))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", type=Path, help="folder for the results of each seed")
    options = parser.parse_args(arguments)
    print(describe(rows=options.rows, seeds=options.seeds, model=options.model))
    found: list[dict[str, Any]] = []
    for name in options.worlds:
        for loss in options.losses:
            found += [_one(name, loss, seed, options) for seed in range(options.seeds)]
            if options.json is not None:
                _write(name, found, options)
        _print(name, [figures for figures in found if figures["world"] == name])


def _write(name: str, found: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Write the results of a world so far."""
    mine = [figures for figures in found if figures["world"] == name]
    results = [
        {
            "task": "click",
            "model": f"{options.model}, {loss}",
            "metric": metric,
            "values": [figures[metric] for figures in mine if figures["loss"] == loss],
        }
        for loss in dict.fromkeys(figures["loss"] for figures in mine)
        for metric in mine[0].keys() - {"world", "loss", "seed", "epochs"}
    ]
    chosen = ("losses", "rows", "seeds", "model", "epochs")
    per_seed.write(
        options.json,
        sorted(results, key=lambda one: (one["model"], one["metric"])),
        benchmark="losses",
        data=name,
        options={"worlds": name} | {key: getattr(options, key) for key in chosen},
        seeds=range(options.seeds),
    )


def _one(name: str, loss: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the test metrics of one training run."""
    world = worlds.make(name, rows=options.rows, seed=seed)
    parts = _parts(world.frame)
    recipe = ct.Recipe(
        schema=ct.Schema(
            columns=world.schema.columns, tasks={"click": {"kind": "binary", "loss": LOSSES[loss]}}
        ),
        model={"name": options.model},
        calibration={"method": "platt"},
        evaluation={"baselines": (), "group": "request_id"},
        training={
            "group": "request_id",
            "monitor": "click.ndcg@10",
            "seed": seed,
            "epochs": options.epochs,
            "precision": "float32",
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        run = ct.fit(recipe, data=parts, out=Path(folder) / "run", quiet=True)
        scored = pl.read_parquet(run.model_folder(options.model, seed) / TEST)
        epochs = len(history(run, options.model, seed))
    figures = {"world": name, "loss": loss, "seed": seed, "epochs": epochs}
    return figures | _figures(scored, parts["test"]["relevance"])


def _parts(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    tenth = pl.col("request_id").hash(1) % 10
    wanted = {"train": tenth >= 3, "valid": tenth == 2, "test": tenth < 2}
    return {split: frame.filter(rows) for split, rows in wanted.items()}


def _figures(scored: pl.DataFrame, relevance: pl.Series) -> dict[str, float]:
    y, group = scored["click"].cast(pl.Float64).to_numpy(), scored["request_id"]
    after, before = scored["click__prediction"], scored["click__raw"]
    plain = ct.metrics.task_metrics("binary", y, before.to_numpy(), group)
    calibrated = ct.metrics.task_metrics("binary", y, after.to_numpy(), group)
    return {
        "ndcg@10": plain["ndcg@10"],
        "relevance_ndcg@10": ndcg_per_group(group, before, relevance, 10).mean,
        "auc": plain["auc"],
        "log_loss": plain["log_loss"],
        "ece": plain["ece"],
        "log_loss_calibrated": calibrated["log_loss"],
        "ece_calibrated": calibrated["ece"],
    }


def _print(name: str, found: list[dict[str, Any]]) -> None:
    heads = ["loss", "NDCG@10 of clicks", "NDCG@10 of relevance", "AUC", "log loss", "ECE"]
    heads += ["relevance over the first loss, paired", "epochs"]
    print(f"{name}\n\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    first = [figures for figures in found if figures["loss"] == found[0]["loss"]]
    for loss in dict.fromkeys(figures["loss"] for figures in found):
        rows = [figures for figures in found if figures["loss"] == loss]
        cells = [_spread([row[column] for row in rows]) for column in COLUMNS]
        for place in (3, 4):
            after = statistics.mean(row[f"{COLUMNS[place]}_calibrated"] for row in rows)
            cells[place] += f" → {after:.4f}"
        key = "relevance_ndcg@10"
        gains = [row[key] - one[key] for row, one in zip(rows, first, strict=False)]
        epochs = statistics.mean(row["epochs"] for row in rows)
        print(f"| {loss} | {' | '.join(cells)} | {_spread(gains)} | {epochs:.1f} |")
    print(flush=True)


def _spread(values: list[float]) -> str:
    sd = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{sd}"
