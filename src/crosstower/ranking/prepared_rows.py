"""The encoded rows of a ranker as files, and read back without encoding."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.encoded_shards import Shard, ShardedRows, ShardWriter
from crosstower.data.fingerprints import Fingerprints
from crosstower.data.prepared_folder import PreparedFolder, Shards
from crosstower.data.split import SPLITS
from crosstower.errors import RunError
from crosstower.ranking.data import Prepared, evaluation_columns, memory_of
from crosstower.ranking.row_passes import TARGETED
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.tasks import Binary
from crosstower.storage.files import same_file

TARGETS = "targets-{}.parquet"


def store_rows(prepared: Prepared, folder: Path) -> Shards:
    """Write encoded rows as shards, and the targets and fingerprints next to them.

    Args:
        prepared: rows in memory or on disk.
        folder: exists.

    """
    for split in TARGETED:
        prepared.targets[split].write_parquet(folder / TARGETS.format(split))
    prepared.fingerprints.save(folder)
    return {split: _stored(rows, folder / split) for split, rows in prepared.rows.items()}


def _stored(rows: EncodedRows, folder: Path) -> tuple[Shard, ...]:
    if isinstance(rows, ShardedRows):  # written already
        folder.mkdir()
        for shard in rows.shards:
            same_file(rows.folder / shard.file, folder / shard.file)
        return rows.shards
    writer = ShardWriter(folder)
    for number in range(rows.blocks):
        writer.add(rows.block(number))
    return writer.finish()


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
        for split in TARGETED
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
