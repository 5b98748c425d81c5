"""Test metrics of every ranking model on public data, mean ± sd over seeds."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.machine import describe, example
from crosstower.fitting import fit

MODELS = ("logistic_regression", "mlp", "wide_deep", "dcn_v2")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks quality", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", nargs="+", default=["adult", "movielens"])
    parser.add_argument("-o", "--override", action="append", default=[])
    options = parser.parse_args(arguments)
    print(describe(seeds=options.seeds, overrides=options.override or "none"))
    for name in options.data:
        with tempfile.TemporaryDirectory() as folder:
            recipe = example(name, Path(folder))
            run = fit(
                recipe,
                seeds=options.seeds,
                out=Path(folder) / "run",
                quiet=True,
                overrides=options.override,
            )
            show(name, run.metrics)


def show(name: str, metrics: dict) -> None:
    (task,) = metrics["tasks"].values()
    print(f"{name}: peak memory {metrics['peak_memory_mb']:,.0f} MB")
    print("| model | AUC | log loss | ECE | gAUC | epochs | rows/s |")
    print("|---|---|---|---|---|---|---|")
    for model in MODELS:
        found = task[model]
        cells = [number(found.get(m)) for m in ("auc", "log_loss", "ece", "gauc")]
        runs = list(metrics["training"][model].values())
        epochs = sum(r["epochs"] for r in runs) / len(runs)
        speed = sum(r["rows_per_second"] for r in runs) / len(runs)
        print(f"| {model} | {' | '.join(cells)} | {epochs:.1f} | {speed:,.0f} |")
    print(flush=True)


def number(summary: dict | None) -> str:
    if summary is None:
        return ""
    sd = "" if summary["sd"] is None else f" ± {summary['sd']:.4f}"
    return f"{summary['mean']:.4f}{sd}"
