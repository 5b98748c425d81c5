"""Full-catalogue test metrics of the retrieval examples beside their baselines, over seeds."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.machine import describe, example
from benchmarks.quality import number
from crosstower.fitting import fit

EXAMPLES = ("amazon_beauty", "movielens_retrieval", "clothing_search")
METRICS = ("recall@10", "ndcg@10", "mrr@10", "coverage@10", "novelty@10")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks retrieval", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", nargs="+", default=list(EXAMPLES))
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
            show(name, run.metrics, run.info.facts.notes)


def show(name: str, metrics: dict, notes: tuple[str, ...]) -> None:
    print(f"{name}: peak memory {metrics['peak_memory_mb']:,.0f} MB; {'; '.join(notes)}")
    print(f"| model | {' | '.join(METRICS)} | epochs | rows/s |\n|---|{'---|' * 7}")
    for model, found in metrics["retrieval"].items():
        runs = list(metrics["training"].get(model, {}).values())
        cells = [number(found[m]) for m in METRICS]
        cells += ["", ""] if not runs else [f"{mean(runs, 'epochs'):.1f}"]
        cells += [f"{mean(runs, 'rows_per_second'):,.0f}"] if runs else []
        print(f"| {model} | {' | '.join(cells)} |")
    print(flush=True)


def mean(runs: list[dict], key: str) -> float:
    return sum(run[key] for run in runs) / len(runs)
