"""Cosine contrastive loss: the weight of the negatives, chosen on validation queries.

Retrieval examples, trained with `objective: contrastive`, vectors of length 1 and `--negatives`
uniform negatives per batch, once for each weight and seed. The weight to take is the one with the
best validation NDCG; the test columns show what it brings.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.machine import describe, example
from crosstower.fitting.fit import fit
from crosstower.training.history import history
from crosstower.training.run import Run

EXAMPLES = ("lastfm", "movielens_retrieval")
WEIGHTS = (1.0, 10.0, 50.0, 100.0, 150.0, 300.0)
MODEL = ("model.normalise=true",)
USERS = (  # of examples whose history is a set: queries are users' embeddings
    "retrieval.history=null",
    "schema.columns={user: categorical, item: categorical}",
    "training.embedding_learning_rate=0.03",
)
SETS = ("lastfm", "movielens_1m")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks contrastive", description=__doc__)
    parser.add_argument("--data", nargs="+", default=EXAMPLES)
    parser.add_argument("--weights", type=float, nargs="+", default=WEIGHTS)
    parser.add_argument("--margin", type=float, default=0.5)
    parser.add_argument("--negatives", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args(arguments)
    print(describe(**{k: v for k, v in vars(options).items() if k not in ("data", "weights")}))
    for name in options.data:
        compare(name, options)


def compare(name: str, options: argparse.Namespace) -> None:
    print(f"{name}\n\n| negative_weight | valid NDCG | test NDCG@10 | test recall@10 | epochs |")
    print("|---|---|---|---|---|")
    for weight in options.weights:
        with tempfile.TemporaryDirectory() as folder:
            recipe = example(name, Path(folder))
            run = fit(
                recipe,
                overrides=[*overrides(weight, options), *(USERS if name in SETS else ())],
                seeds=options.seeds,
                out=Path(folder) / "run",
                quiet=True,
            )
            print(row(weight, run), flush=True)
    print(flush=True)


def overrides(weight: float, options: argparse.Namespace) -> list[str]:
    margin = options.margin
    return [
        *MODEL,
        f"retrieval.objective={{name: contrastive, margin: {margin}, negative_weight: {weight}}}",
        f"retrieval.negatives={{uniform: {options.negatives}}}",
        "retrieval.baselines=[popularity]",
        f"training.epochs={options.epochs}",
        "training.precision=float32",
    ]


def row(weight: float, run: Run) -> str:
    records = [history(run, "two_tower", seed) for seed in run.info.seeds]
    key = next(k for k in reversed(records[0][0]["valid"]) if k.startswith("retrieval.ndcg@"))
    best = [max(r["valid"][key] for r in of_seed) for of_seed in records]
    test = run.metrics["retrieval"]["two_tower"]
    cells = [spread(best)] + [spread_of(test[name]) for name in ("ndcg@10", "recall@10")]
    epochs = statistics.mean(len(r) for r in records)
    return f"| {weight:g} | {' | '.join(cells)} | {epochs:.0f} |"


def spread(values: list[float]) -> str:
    sd = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{sd}"


def spread_of(summary: dict) -> str:
    sd = summary["sd"]
    return f"{summary['mean']:.4f}" + ("" if sd is None else f" ± {sd:.4f}")
