"""The encoded rows of a ranker as files, and read back without encoding."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from crosstower.data.fingerprints import Fingerprints
from crosstower.data.prepared_folder import PreparedFolder, Shards
from crosstower.data.shards import ShardWriter
from crosstower.data.split import SPLITS
from crosstower.errors import RunError
from crosstower.ranking.data import Prepared, evaluation_columns, memory_of
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.tasks import Binary

TARGETS = "targets-{}.parquet"
_TARGETED = ("valid", "test")


def store_rows(prepared: Prepared, folder: Path) -> Shards:
    """Write encoded rows as shards, and the targets and fingerprints beside them.

    Args:
        prepared: rows in memory or on disk.
        folder: exists.

    """
    shards = dict[str, ShardWriter]()
    for split, rows in prepared.rows.items():
        writer = shards[split] = ShardWriter(folder / split)
        for number in range(rows.blocks):
            writer.add(rows.block(number))
    store_targets(prepared, folder)
    return {split: writer.finish() for split, writer in shards.items()}


def store_targets(prepared: Prepared, folder: Path) -> None:
    """Write the targets of valid and test rows, and the fingerprints of the training rows."""
    for split in _TARGETED:
        prepared.targets[split].write_parquet(folder / TARGETS.format(split))
    prepared.fingerprints.save(folder)


def load_rows(recipe: Recipe, stored: PreparedFolder) -> Prepared:
    """Return rows as `prepare` gives them, from files.

    Args:
        recipe: fits the recipe of the folder.
        stored: of a ranker.

    Raises:
        RunError: a file is damaged.

    """
    fingerprints = Fingerprints.load(stored.folder)
    if fingerprints is None:
        raise RunError(f"{stored.folder}: has no fingerprints; prepare the rows again")
    names = _target_columns(recipe)
    targets = {
        split: pl.read_parquet(stored.folder / TARGETS.format(split), columns=names).select(names)
        for split in _TARGETED
    }
    rows = {split: stored.rows(split, memory_of(recipe, split)) for split in SPLITS}
    return Prepared(stored.encoder, dict(rows), targets, stored.facts, fingerprints)


def _target_columns(recipe: Recipe) -> list[str]:
    """Return the columns of `targets_of`, in their order."""
    names = evaluation_columns(recipe)
    for name, task in recipe.schema_.tasks.items():
        if isinstance(task, Binary) and task.true_probability:
            names.append(task.true_probability)
        names.append(name)
    return list(dict.fromkeys(names))
