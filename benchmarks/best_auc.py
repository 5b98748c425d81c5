"""How near the models come to the best possible AUC of the app-install world."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.quality import number
from crosstower.data.datasets import worlds
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Data, Evaluation, Recipe

MODELS = ("wide_deep", "dcn_v2", "mlp", "logistic_regression")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks best_auc", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    print(describe(seeds=options.seeds))
    print("| rows | best possible | " + " | ".join(MODELS) + " |")
    print("|---|---|" + "---|" * len(MODELS))
    for rows in options.rows:
        recipe = Recipe(
            data=Data(path="world:app_installs", rows=rows),
            schema=worlds.make("app_installs", rows=1).schema,
            model={"name": MODELS[0]},
            evaluation=Evaluation(baselines=MODELS[1:]),
        )
        with tempfile.TemporaryDirectory() as folder:
            run = fit(recipe, seeds=options.seeds, out=Path(folder) / "run", quiet=True)
            task = run.metrics["tasks"]["installed"]
        cells = [number(task[m]["auc"]) for m in ("Best possible", *MODELS)]
        print(f"| {rows:,} | {' | '.join(cells)} |", flush=True)
