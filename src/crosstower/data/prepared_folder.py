"""A folder of prepared rows: an encoder and encoded rows, for any number of training runs.

- `recipe.yaml`: the recipe that the rows were prepared for
- `encoder/`: the encoder, with its state for later warm starts
- folders of shards, one per split of a ranker; `queries` and `items` of a retriever
- files of the job, such as the targets of the valid and test rows
- `prepared.json`: written last; a folder without it is incomplete
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Literal

from crosstower.data.encoded_shards import Shard, ShardedRows
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_files import save_encoder
from crosstower.data.encoders.learned import Learned, load_learned, save_learned
from crosstower.data.statistics import DatasetStats
from crosstower.errors import RunError
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.loading import load_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.storage.documents import FileFacts, facts_of, fault_of, read_document, size_fault_of
from crosstower.storage.folders import local_folder
from crosstower.values.addresses.address import Place, place_of

MANIFEST, RECIPE, ENCODER = "prepared.json", "recipe.yaml", "encoder"
FORMAT = 1
_AGAIN = "prepare the rows again with: crosstower prepare"

Shards = Mapping[str, tuple[Shard, ...]]
"""Shards by folder."""


class PreparedManifest(FrozenModel):
    """Contents of a prepared folder.

    Args:
        crosstower: version that wrote it.
        facts: statistics of the data.
        shards: by folder.
        files: size and checksum of every other file.

    """

    format: Literal[1] = FORMAT
    crosstower: str
    facts: DatasetStats
    shards: dict[str, tuple[Shard, ...]]
    files: dict[str, FileFacts]


@dataclass(frozen=True)
class PreparedFolder:
    """An open folder of prepared rows.

    Args:
        folder: of the files.
        recipe: that the rows were prepared for, or another one that they fit.
        facts: statistics of the data.
        shards: by folder.

    """

    folder: Path
    recipe: Recipe
    facts: DatasetStats
    shards: Shards

    @property
    def encoder(self) -> Encoder:
        """The encoder of the rows, with the schema of the recipe."""
        return replace(self._learned[0], schema=self.recipe.schema_)

    @property
    def learned(self) -> Learned:
        """State of the encoder for a warm start from a run of these rows."""
        return self._learned[1]

    def rows(self, name: str, memory_bytes: int) -> ShardedRows:
        """Return the encoded rows of one folder of shards.

        Args:
            name: of the folder.
            memory_bytes: larger ones are read in windows of blocks.

        Raises:
            RunError: a shard is damaged.

        """
        return ShardedRows(self.folder / name, self.shards[name], memory_bytes)

    def shard_files(self) -> Iterator[tuple[Path, FileFacts]]:
        """Yield the path of each shard with its size and checksum."""
        for name, shards in self.shards.items():
            for shard in shards:
                yield self.folder / name / shard.file, shard.facts

    def check_rows(self) -> None:
        """Compare the checksums of all shards, which reads them once.

        Raises:
            RunError: a shard is damaged.

        """
        for path, facts in self.shard_files():
            _refuse(path, fault_of(path, facts))

    @cached_property
    def _learned(self) -> tuple[Encoder, Learned]:
        return load_learned(self.folder / ENCODER)


def write_prepared(
    folder: Path,
    recipe: Recipe,
    fitted: tuple[Encoder, Learned],
    facts: DatasetStats,
    shards: Shards,
) -> PreparedFolder:
    """Complete a folder that holds the shards and the files of a job; the manifest comes last.

    Args:
        folder: of the files.
        recipe: all paths absolute.
        fitted: the encoder, with its state for the next training run.
        facts: statistics of the data.
        shards: by folder.

    """
    save_encoder(fitted[0], folder / ENCODER)
    save_learned(fitted[1], folder / ENCODER)
    (folder / RECIPE).write_text(recipe.to_yaml(), encoding="utf-8")
    written = {folder / name / shard.file for name, found in shards.items() for shard in found}
    others = sorted(path for path in folder.rglob("*") if path.is_file() and path not in written)
    manifest = PreparedManifest(
        crosstower=metadata.version("crosstower"),
        facts=facts,
        shards=dict(shards),
        files={path.relative_to(folder).as_posix(): facts_of(path) for path in others},
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    return PreparedFolder(folder, recipe, facts, shards)


def open_prepared(place: str | Place) -> PreparedFolder:
    """Return a folder of prepared rows; checksums are compared, of shards only the sizes.

    Args:
        place: path or address; the files of an address are copied to the cache first.

    Raises:
        RunError: the folder is incomplete, damaged or of another format.

    """
    folder = local_folder(place_of(place, error=RunError), MANIFEST, error=RunError)
    if not (folder / MANIFEST).is_file():
        raise RunError(
            f"{folder}: no prepared rows ({MANIFEST} is missing); write them with: crosstower"
            f" prepare RECIPE --out {folder}"
        )
    manifest = read_document(
        folder / MANIFEST, PreparedManifest, newest=FORMAT, error=RunError, again=_AGAIN
    )
    for name, facts in manifest.files.items():
        _refuse(folder / name, fault_of(folder / name, facts))
    stored = PreparedFolder(folder, load_recipe(folder / RECIPE), manifest.facts, manifest.shards)
    for path, facts in stored.shard_files():
        _refuse(path, size_fault_of(path, facts))
    return stored


def _refuse(path: Path, fault: str | None) -> None:
    if fault is not None:
        raise RunError(f"{path}: {fault}; {_AGAIN}")
