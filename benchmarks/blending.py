"""Blends on the feed world, measured by its true probabilities: plain sums and by content type.

A comment is worth two likes. In the absolute utility an event is worth the same wherever it
happens; in the relative one it counts relative to what is usual for its content type. The model is
trained, the blends are fitted on its validation rows, and the lists are the test rows of a user.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean, stdev

import polars as pl

from benchmarks.machine import describe
from crosstower.blending.blender import fit_blend
from crosstower.blending.utility import Utility, gain
from crosstower.data.datasets import worlds
from crosstower.evaluation.metrics.ndcg import ndcg_per_group
from crosstower.fitting.fit import fit
from crosstower.recipe.blend import Blend
from crosstower.recipe.recipe import Data, Evaluation, Recipe

VALUES = {"like": 1.0, "comment": 2.0}
BLENDS = {
    "plain sum": Blend(weights=VALUES),
    "sum of probits": Blend(weights=VALUES, transform="probit"),
    "sum of percentiles": Blend(weights=VALUES, transform="percentile"),
    "standardised, by type": Blend(weights=VALUES, by="content_type"),
    "probit, by type": Blend(weights=VALUES, transform="probit", by="content_type"),
    "percentile, by type": Blend(weights=VALUES, transform="percentile", by="content_type"),
}
KS = (10, 30)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks blending", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=300_000)
    options = parser.parse_args(arguments)
    print(describe(seeds=options.seeds, rows=options.rows))
    schema = worlds.make("feed_engagement", rows=1).schema
    recipe = Recipe(
        name="feed",
        data=Data(path="world:feed_engagement", rows=options.rows),
        schema=schema,
        model={"name": "shared_bottom"},
        evaluation=Evaluation(group="user_id", slices=("content_type",), baselines=()),
    )
    with tempfile.TemporaryDirectory() as folder:
        run = fit(recipe, seeds=options.seeds, out=Path(folder) / "run", quiet=True)
        show([figures(run.model_folder("shared_bottom", s), schema) for s in run.info.seeds])


def figures(folder: Path, schema: object) -> dict[tuple[str, str], float]:
    """Return {(blend, utility@k): NDCG by true probabilities} of one training run."""
    valid, test = (pl.read_parquet(folder / f"{name}.parquet") for name in ("valid", "test"))
    kinds, truths = schema.kinds(), schema.truths()
    found = {}
    for words, relative_to in (("absolute", None), ("relative", "content_type")):
        utility = Utility(values=VALUES, user="user_id", relative_to=relative_to)
        worth = gain(utility, test, kinds, truth=truths)
        for k in KS:
            scores = {name: fit_blend(b, kinds, valid).score(test) for name, b in BLENDS.items()}
            for name, score in scores.items():
                ndcg = ndcg_per_group(test["user_id"], score, worth, k).mean
                found[name, f"{words} NDCG@{k}"] = ndcg
    return found


def show(seeds: list[dict[tuple[str, str], float]]) -> None:
    columns = list(dict.fromkeys(column for _, column in seeds[0]))
    print(f"| blend | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name in BLENDS:
        values = [[seed[name, column] for seed in seeds] for column in columns]
        cells = [f"{mean(v):.4f} ± {stdev(v) if len(v) > 1 else 0.0:.4f}" for v in values]
        print(f"| {name} | {' | '.join(cells)} |")
