"""A click log whose labels come from a factorisation machine, so that the best AUC is known.

    logit = Σ_f w_f(id) + Σ_{f<g} ⟨v_f(id), v_g(id)⟩ + Σ_n a_n x_n - 1,

over 8 columns of ids, log-uniform as clicks are, and 4 numbers. The linear part of the ids has
variance 0.5, the pairs 1.0 and the numbers 0.1: a linear model misses most of it.
"""

from itertools import combinations

import numpy as np
import polars as pl

from crosstower.recipe.schema import Schema

SIZES = (200, 150, 100, 80, 50, 30, 20, 10)
FACTORS, NUMBERS, RARITY = 4, 4, 1.0
LINEAR, PAIRS, SLOPES = 0.5, 1.0, 0.1
SCHEMA = Schema.model_validate(
    {
        "columns": {f"C{i}": "categorical" for i in range(len(SIZES))}
        | {f"I{i}": "numeric" for i in range(NUMBERS)},
        "tasks": {"click": "binary"},
    }
)


def second_order_log(rows: int, *, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Return rows, and the true probability of a click of each; the seed determines both."""
    random = np.random.default_rng(seed)
    ids = np.stack([_log_uniform(random, rows, size) for size in SIZES], axis=1)
    numbers = random.normal(size=(rows, NUMBERS))
    logits = logits_of(random, ids, numbers)
    probability = 1 / (1 + np.exp(-logits))
    columns = {f"C{i}": ids[:, i] for i in range(len(SIZES))}
    columns |= {f"I{i}": numbers[:, i] for i in range(NUMBERS)}
    click = (random.random(rows) < probability).astype(np.int8)
    return pl.DataFrame({**columns, "click": click}), probability


def logits_of(random: np.random.Generator, ids: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    fields = len(SIZES)
    pairs = fields * (fields - 1) / 2
    linear_sd, latent_sd = (LINEAR / fields) ** 0.5, (PAIRS / (pairs * FACTORS)) ** 0.25
    total = numbers @ random.normal(0.0, (SLOPES / NUMBERS) ** 0.5, NUMBERS) - RARITY
    vectors = list[np.ndarray]()
    for field, size in enumerate(SIZES):
        total += random.normal(0.0, linear_sd, size)[ids[:, field]]
        vectors.append(random.normal(0.0, latent_sd, (size, FACTORS))[ids[:, field]])
    for one, other in combinations(vectors, 2):
        total += (one * other).sum(axis=1)
    return total


def _log_uniform(random: np.random.Generator, rows: int, size: int) -> np.ndarray:
    return np.minimum((size + 1) ** random.random(rows) - 1, size - 1).astype(np.int64)
