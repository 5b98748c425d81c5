"""Bias that a bias tower removes from clicks: NDCG@10 of the true relevance on the rentals world.

The world shows popular listings first, and a place at position k is looked at with probability
1/√k. Four rankers learn from the same impressions: from clicks at random positions, which have no
bias; from the logged clicks, with `bias: [position]`, without the position, and with the position
as an ordinary column, which is missing when serving. Each ranks listings for users; the gain of a
listing is its true relevance. Hyperparameters are the defaults; nothing is chosen on these results.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.machine import describe
from crosstower.data.datasets import worlds
from crosstower.data.datasets.worlds.rentals import listings, rental_relevance
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe

RANDOM, BIASED, TOWER, INPUT = "random positions", "no position", "bias tower", "position as input"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks position_bias", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--users", type=int, default=500, help="whose lists are ranked")
    parser.add_argument("--candidates", type=int, default=50, help="per list")
    options = parser.parse_args(arguments)
    print(describe(seeds=options.seeds, rows=options.rows))
    found: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        for name, value in figures(seed, options.rows, options.users, options.candidates).items():
            found.setdefault(name, []).append(value)
    best = np.mean(found[RANDOM])
    print("| trained on | NDCG@10 of true relevance | share of random positions |\n|---|---|---|")
    for name, values in found.items():
        sd = np.std(values, ddof=1) if len(values) > 1 else float("nan")
        print(f"| {name} | {np.mean(values):.4f} ± {sd:.4f} | {np.mean(values) / best:.1%} |")


def figures(seed: int, rows: int, users: int, candidates: int) -> dict[str, float]:
    """Return the NDCG@10 of each ranker, and that of a random order, for one seed."""
    logged = worlds.make("rentals", rows=rows, seed=seed).frame
    shuffled, lists = at_random_positions(logged, seed), candidate_lists(users, candidates, seed)
    cases: dict[str, tuple[pl.DataFrame, Any]] = {
        RANDOM: (shuffled, None),
        TOWER: (logged, ["position"]),
        BIASED: (logged, None),
    }
    found = {
        name: ndcg(lists, scores_of(recipe_of(bias, seed), data, lists))
        for name, (data, bias) in cases.items()
    }
    plain = recipe_of(None, seed, {"position": "categorical"})
    nowhere = lists.with_columns(position=pl.lit(None, pl.Int64))
    found[INPUT] = ndcg(lists, scores_of(plain, logged, nowhere))
    found["nothing (random order)"] = ndcg(lists, np.random.default_rng(seed).random(lists.height))
    return found


def recipe_of(bias: Any, seed: int, more: dict[str, Any] | None = None) -> Recipe:
    columns: dict[str, Any] = {
        "user_id": "categorical",
        "home_city": "categorical",
        "budget": {"kind": "numeric", "transform": "log1p"},
        "wanted": "categorical",
        "listing_id": "categorical",
        "city": "categorical",
        "price": {"kind": "numeric", "transform": "log1p"},
        "amenities": "bag",
    }
    if bias is not None:
        columns |= dict.fromkeys(bias, "categorical")
    return Recipe.model_validate(
        {
            "schema": {"columns": columns | (more or {}), "tasks": {"click": "binary"}},
            "bias": bias,
            "evaluation": {"baselines": []},
            "training": {"seed": seed},
        }
    )


def at_random_positions(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the same impressions at random positions, with the clicks that they get there."""
    random = np.random.default_rng(seed + 1_000)
    keys = pl.DataFrame({"request": frame["request_id"], "key": random.random(frame.height)})
    position = keys.select(pl.col("key").rank("ordinal").over("request")).to_series().cast(pl.Int64)
    chance = frame["relevance"].to_numpy() / np.sqrt(position.to_numpy())
    click = (random.random(frame.height) < chance).astype(np.int8)
    return frame.with_columns(position=position, click=pl.Series(click))


def candidate_lists(users: int, candidates: int, seed: int) -> pl.DataFrame:
    """Return rows of users and random listings, with the true relevance of each pair."""
    random = np.random.default_rng(seed + 2_000)
    own = ["user_id", "home_city", "budget", "wanted"]
    known = worlds.make("rentals", rows=50_000, seed=seed).frame.select(own).unique("user_id")
    chosen = known.sort("user_id").sample(min(users, known.height), seed=seed)
    catalogue = listings()
    item = np.concatenate(
        [random.choice(catalogue.height, candidates, replace=False) for _ in range(chosen.height)]
    )
    user = np.repeat(np.arange(chosen.height), candidates)
    rows = pl.concat([chosen[user], catalogue[item]], how="horizontal")
    return rows.with_columns(relevance=pl.Series(rental_relevance(rows)))


def scores_of(recipe: Recipe, data: pl.DataFrame, lists: pl.DataFrame) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        run = fit(recipe, data=data, out=Path(folder) / "run", quiet=True)
        return run.predict(lists)["click__prediction"].to_numpy()


def ndcg(lists: pl.DataFrame, scores: np.ndarray, k: int = 10) -> float:
    """Return the mean NDCG@k, with relevance as the gain and a discount of 1/log2(rank + 1)."""
    found, discount = [], 1 / np.log2(np.arange(k) + 2)
    frame = lists.select("user_id", "relevance").with_columns(score=pl.Series(scores))
    for part in frame.partition_by("user_id"):
        gains, order = part["relevance"].to_numpy(), np.argsort(-part["score"].to_numpy())
        ideal = np.sort(gains)[::-1][:k] @ discount
        found.append(gains[order][:k] @ discount / ideal)
    return float(np.mean(found))
