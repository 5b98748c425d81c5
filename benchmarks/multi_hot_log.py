"""Rows of the shape of MLPerf's DLRM-DCNv2, written as Parquet: examples/dlrm_dcnv2.yaml.

    python -m benchmarks multi_hot_log --out data/multi_hot_log --scale 1000

26 columns of ids (15 are lists), 13 numbers and the label `click`. Sizes of tables and
lists are those of MLPerf (mlcommons/training, recommendation_v2), tables divided by `--scale`. Ids
are log-uniform; the further ids of a list are a function of its first, as MLPerf makes them. Labels
come from a second-order model of the ids and numbers, as in `click_log`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.click_log import RARITY, codes_of, logits_of
from benchmarks.machine import describe
from crosstower.values.hashing import mix

TABLES = (
    *(40_000_000, 39_060, 17_295, 7_424, 20_265, 3, 7_122, 1_543, 63, 40_000_000, 3_067_956),
    *(405_282, 10, 2_209, 11_938, 155, 4, 976, 14, 40_000_000, 40_000_000, 40_000_000, 590_152),
    *(12_973, 108, 36),
)
LENGTHS = (3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1)
ROWS, NUMBERS, CHUNK = 4_195_197_692, 13, 200_000
PARTS = {"train": 1.0, "valid": 0.02, "test": 0.02}
"""Rows of a file, as a share of the training rows."""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks multi_hot_log",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="Folder of the files.")
    parser.add_argument("--scale", type=float, default=1000.0, help="Divides tables and rows.")
    parser.add_argument("--rows", type=int, help="Training rows, instead of MLPerf's / scale.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rows = options.rows or int(ROWS / options.scale)
    print(describe(scale=options.scale, rows=f"{rows:,}", seed=options.seed))
    best = write_multi_hot_log(options.out, rows=rows, scale=options.scale, seed=options.seed)
    print(f"{sum(table_sizes(options.scale)):,} ids in {len(TABLES)} tables: {options.out}")
    print(f"best possible test AUC {best:.4f}")


def table_sizes(scale: float) -> list[int]:
    """Return the sizes of the tables, at least 3 each."""
    return [max(int(size / scale), 3) for size in TABLES]


def write_multi_hot_log(folder: Path, *, rows: int, scale: float, seed: int = 0) -> float:
    """Write FOLDER/train, valid and test, with a Parquet file per `CHUNK` rows.

    Args:
        folder: of the files.
        rows: of the training part.
        scale: divides the sizes of MLPerf's tables.
        seed: of ids, numbers and labels.

    Returns:
        The AUC of the true chances of the test rows.

    """
    tested: list[tuple[NDArray[np.int8], NDArray[np.float64]]] = []
    for place, (part, share) in enumerate(PARTS.items()):
        (folder / part).mkdir(parents=True, exist_ok=True)
        left, number = max(int(rows * share), 2_000), 0
        while left:
            frame, chance = chunk(min(left, CHUNK), scale, seed=seed, stream=(place, number))
            if part == "test":
                tested.append((frame["click"].to_numpy(), chance))
            frame.write_parquet(folder / part / f"{number:05d}.parquet")
            left, number = left - len(frame), number + 1
    clicks, chances = (np.concatenate(parts) for parts in zip(*tested, strict=True))
    return float(roc_auc_score(clicks, chances))


def chunk(
    rows: int, scale: float, *, seed: int, stream: tuple[int, ...]
) -> tuple[pl.DataFrame, NDArray[np.float64]]:
    """Return some rows and their chances of a click; `stream` tells the chunks of a seed apart."""
    random = np.random.default_rng([seed, *stream])
    sizes = table_sizes(scale)
    codes = np.stack([codes_of(random, rows, size) for size in sizes], axis=1)
    raw = random.lognormal(0.0, 1.2, (rows, NUMBERS)).astype(np.float32)
    chance = 1.0 / (1.0 + np.exp(RARITY - logits_of(codes, np.log1p(raw), seed=seed)))
    columns: dict[str, Any] = {"click": (random.random(rows) < chance).astype(np.int8)}
    columns |= {f"I{n + 1}": raw[:, n] for n in range(NUMBERS)}
    for n, (size, length) in enumerate(zip(sizes, LENGTHS, strict=True)):
        ids = codes[:, n]
        columns[f"C{n + 1}"] = ids if length == 1 else lists_of(ids, size, length)
    return pl.DataFrame(columns), chance


def lists_of(ids: NDArray[np.int32], size: int, length: int) -> pl.Series:
    """Return a list per id: the id, and others that are hashes of it."""
    others = [(mix(ids, place) % size).astype(np.int32) for place in range(1, length)]
    return pl.Series(np.stack([ids, *others], axis=1)).cast(pl.List(pl.Int32))
