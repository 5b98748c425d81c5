"""Users and items without a time, written as train.parquet, valid.parquet and test.parquet.

    python -m benchmarks interaction_log --out data/interaction_log
    python -m benchmarks ids_only --data $PWD/data/interaction_log --models "crosstower, defaults"

A user takes items without replacement with probabilities softmax(p·q + b): tastes p and items q of
16 dimensions, and a popularity b with a long tail. The number of items of a user is log-normal, at
least 10. One item in ten of each user is a valid one, and one in five a test one. By default, the
table has the size of Gowalla as He et al. use it (LightGCN, SIGIR 2020, arXiv 2002.02126, table 2):
29,858 users, 40,981 items and about 1,027,000 interactions, 810,000 of them to train and validate.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.machine import describe

DIM, LEAST, AT_ONCE = 16, 10, 500
VALID, TEST = 0.1, 0.2


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks interaction_log",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="Folder of the files.")
    parser.add_argument("--users", type=int, default=29_858)
    parser.add_argument("--items", type=int, default=40_981)
    parser.add_argument("--interactions", type=int, default=1_027_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print(describe(**{name: value for name, value in vars(options).items() if name != "out"}))
    sizes = write_interaction_log(
        options.out, options.users, options.items, options.interactions, seed=options.seed
    )
    print(", ".join(f"{name} {size:,}" for name, size in sizes.items()), f"rows: {options.out}")


def write_interaction_log(
    folder: Path, users: int, items: int, interactions: int, *, seed: int = 0
) -> dict[str, int]:
    """Write the three files; return their rows by name."""
    random = np.random.default_rng(seed)
    counts = counts_of(random, users, items, interactions)
    tastes = random.normal(size=(users, DIM)).astype(np.float32)
    kinds = random.normal(scale=0.8, size=(items, DIM)).astype(np.float32)
    popularity = (0.8 * random.standard_t(4, size=items)).astype(np.float32)
    parts: dict[str, list[pl.DataFrame]] = {"train": [], "valid": [], "test": []}
    for start in range(0, users, AT_ONCE):
        stop = min(start + AT_ONCE, users)
        scores = tastes[start:stop] @ kinds.T + popularity
        scores += random.gumbel(size=scores.shape).astype(np.float32)  # the top ones are a draw
        for user, score in enumerate(scores, start):
            taken = np.argpartition(-score, counts[user])[: counts[user]]
            random.shuffle(taken)
            valid, test = round(VALID * len(taken)), round(TEST * len(taken))
            cuts = np.split(taken, [valid, valid + test])
            for name, chosen in zip(("valid", "test", "train"), cuts, strict=True):
                parts[name].append(pl.DataFrame({"user": user, "item": chosen}))
    folder.mkdir(parents=True, exist_ok=True)
    for name, frames in parts.items():
        pl.concat(frames).write_parquet(folder / f"{name}.parquet")
    return {name: sum(map(len, frames)) for name, frames in parts.items()}


def counts_of(
    random: np.random.Generator, users: int, items: int, interactions: int
) -> NDArray[np.int64]:
    """Return the number of items of each user."""
    drawn = random.lognormal(0.0, 1.0, users)
    extra = interactions - LEAST * users
    counts = LEAST + np.floor(drawn * extra / drawn.sum()).astype(np.int64)
    return np.minimum(counts, items // 2)
