"""The click rate of one logged policy, estimated from the log of another.

Open Bandit data, women's campaign: the value of the policy bts (Thompson sampling) from the log of
the policy random, and the click rate of bts in its own log of the same days. The reward
model of DM and DR is a run of crosstower, fitted on one half of the log for the other. In these
rows both policies have the same click rate, so that a model which always predicts the mean would be
right: what can be compared is noise and whether the intervals hold the truth, not a ranking.
"""

import argparse
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.machine import data_folder, describe
from crosstower.evaluation.metrics.summary import Summary
from crosstower.fitting.fit import fit
from crosstower.fitting.off_policy.estimators import all_estimates, on_policy
from crosstower.fitting.off_policy.importance import Estimate
from crosstower.recipe.recipe import Data, Evaluation, Recipe, Training
from crosstower.recipe.schema import Schema
from crosstower.recipe.split import ColumnSplit

FEATURES = [f"user_feature_{i}" for i in range(4)]
PLACE = ["position", "item_id"]
MODELS = ("logistic_regression", "dcn_v2")
PLAIN = {
    "logged": "none: rate of the random log",
    "inverse_propensity": "IPS",
    "self_normalised": "SNIPS",
}
MODELLED = {
    "direct_method": "DM",
    "doubly_robust": "DR",
    "switch_doubly_robust": "Switch-DR",
    "shrunk_doubly_robust": "DR with optimistic shrinkage",
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks off_policy", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    options = parser.parse_args(arguments)
    print(describe(seeds=options.seeds))
    random, bts = (read(name) for name in ("random", "bts"))
    policy = shown_shares(bts)
    truth = on_policy(bts["click"])
    start(truth)
    for model in options.models:
        runs = [estimates(random, policy, model, seed) for seed in range(options.seeds)]
        if model == options.models[0]:
            for name, title in PLAIN.items():
                show(title, [run[name] for run in runs], truth)
        for name, title in MODELLED.items():
            show(f"{title}, {model}", [run[name] for run in runs], truth)


def read(name: str) -> pl.DataFrame:
    columns = [*PLACE, *FEATURES, "click", "propensity_score"]
    return pl.read_parquet(data_folder() / "open-bandit-women" / f"{name}.parquet", columns=columns)


def shown_shares(log: pl.DataFrame) -> pl.DataFrame:
    """Return the policy's mean chance of each item at each position, `target`.

    The logged propensities change with time and a row is logged in proportion to its own: their
    mean over rows is too high (it sums to 2 and more a position). The share of rows is not.
    """
    counts = log.group_by(PLACE, maintain_order=True).len()
    share = pl.col("len") / pl.col("len").sum().over("position")
    return counts.select(*PLACE, share.alias("target"))


def estimates(
    log: pl.DataFrame, policy: pl.DataFrame, model: str, seed: int
) -> Mapping[str, Estimate]:
    log = log.with_row_index("row").join(policy, on=PLACE, how="left", maintain_order="left")
    half = np.random.default_rng(seed).permutation(log.height) % 2
    parts = [log.filter(half == i) for i in range(2)]
    scored = pl.concat([predicted(parts[1 - i], parts[i], policy, model, seed) for i in range(2)])
    rows = log.join(scored, on="row", maintain_order="left")
    return all_estimates(
        rows["click"],
        rows["propensity_score"],
        rows["target"].fill_null(0.0),
        predicted=rows["predicted"],
        predicted_target=rows["predicted_target"],
    )


def predicted(
    known: pl.DataFrame, other: pl.DataFrame, policy: pl.DataFrame, model: str, seed: int
) -> pl.DataFrame:
    """Return a reward model's predictions of `other`, fitted on `known`."""
    recipe = Recipe(
        data=Data(split=ColumnSplit(column="split")),
        schema=Schema(
            columns=dict.fromkeys([*PLACE, *FEATURES], "categorical"), tasks={"click": "binary"}
        ),
        model={"name": model},
        training=Training(seed=seed),
        evaluation=Evaluation(baselines=()),
    )
    context = ["position", *FEATURES]
    every = other.select(context).unique(maintain_order=True).join(policy, on="position")
    with tempfile.TemporaryDirectory() as folder:
        run = fit(recipe, data=with_split(known, seed), out=Path(folder) / "run", quiet=True)
        logged = run.predict(other, columns=["row", *context])
        scores = run.predict(every, columns=[*context, "target"])
    expected = scores.group_by(context).agg(
        (pl.col("target") * pl.col("click__prediction")).sum().alias("predicted_target")
    )
    logged = logged.rename({"click__prediction": "predicted"})
    return logged.join(expected, on=context).drop(context)


def with_split(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Add a `split` of 8:1:1 rows, the rare clicks as evenly as the others."""
    rows = rows.sample(fraction=1.0, shuffle=True, seed=seed)
    turn = pl.int_range(pl.len()).over("click") % 10
    split = pl.when(turn == 0).then(pl.lit("valid")).when(turn == 1).then(pl.lit("test"))
    return rows.with_columns(split.otherwise(pl.lit("train")).alias("split"))


def start(truth: Estimate) -> None:
    print(f"click rate of bts in its own log: {truth.value:.5f}, standard error", end=" ")
    print(f"{truth.standard_error:.5f} ({truth.rows:,} rows)\n")
    heads = ("value", "standard error", "95 % interval", "relative error", "gap", "rows that count")
    print(f"| estimator | {' | '.join(heads)} |")
    print("|---|" + "---|" * len(heads))


def show(title: str, runs: Sequence[Estimate], truth: Estimate) -> None:
    """Print a row; `gap` is in standard errors of both sides, unknown for a model fitted once."""
    value = Summary.of([run.value for run in runs])
    error = Summary.of([abs(run.value / truth.value - 1.0) for run in runs])
    noise = float(np.mean([run.standard_error for run in runs]))
    gap = (value.mean - truth.value) / math.hypot(noise, truth.standard_error)
    low, high = np.mean([run.interval() for run in runs], axis=0)
    size = np.mean([run.effective_sample_size for run in runs])
    cells = [
        digits(value, 5),
        *(["–", "–"] if math.isnan(noise) else [f"{noise:.5f}", f"{low:.5f} to {high:.5f}"]),
        digits(error, 3),
        "–" if math.isnan(gap) else f"{gap:+.1f}",
        f"{size:,.0f}",
    ]
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


def digits(summary: Summary, places: int) -> str:
    sd = "" if not summary.sd else f" ± {summary.sd:.{places}f}"
    return f"{summary.mean:.{places}f}{sd}"
