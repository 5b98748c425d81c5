"""Encoded rows in sharded files, which all processes of a machine read through one page cache.

A shard is a safetensors file of consecutive rows. It is mapped into memory: opening reads no rows,
and a process reads the pages of the rows that it takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from crosstower.data.batch import Batch
from crosstower.data.encoded_rows import BlockSize, EncodedRows, RowWindow
from crosstower.data.ragged import Lists, Ragged
from crosstower.errors import RunError, first_line
from crosstower.recipe.frozen import FrozenModel
from crosstower.storage.documents import FileFacts, facts_of

SHARD_BYTES = 128 << 20
_LISTS, _MORE = "lists", "more"


class Shard(FrozenModel):
    """A file of encoded rows: its size and checksum, and the sizes of the blocks in it.

    Blocks keep the order in which rows beyond `data.memory_mb` are shuffled.
    """

    file: str
    facts: FileFacts
    blocks: tuple[BlockSize, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(block.rows for block in self.blocks)


@dataclass
class ShardWriter:
    """Writes blocks of rows into numbered files of a folder, one file per `shard_bytes`.

    Args:
        folder: is made with the first shard.
        prefix: start of the names of the files.
        shard_bytes: size at which a file is written.

    """

    folder: Path
    prefix: str = ""
    shard_bytes: int = SHARD_BYTES
    shards: list[Shard] = field(default_factory=list[Shard])
    _blocks: list[Batch] = field(default_factory=list[Batch])
    _sizes: list[BlockSize] = field(default_factory=list[BlockSize])

    def add(self, block: Batch) -> None:
        """Append rows."""
        size = BlockSize.of(block)
        if size.rows == 0:
            return
        self._blocks.append(block)
        self._sizes.append(size)
        if sum(size.bytes for size in self._sizes) >= self.shard_bytes:
            self._write()

    def finish(self) -> tuple[Shard, ...]:
        """Write the last rows and return all shards."""
        if self._blocks:
            self._write()
        return tuple(self.shards)

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.prefix}{len(self.shards):06d}.safetensors"
        write_block(Batch.concatenate(self._blocks), path)
        shard = Shard(file=path.name, facts=facts_of(path), blocks=tuple(self._sizes))
        self.shards.append(shard)
        self._blocks, self._sizes = [], []


def write_block(block: Batch, path: Path) -> None:
    """Write encoded rows as one safetensors file."""
    lengths = {n: c.length if isinstance(c, Ragged) else None for n, c in block.lists.items()}
    tensors = {str(i): tensor.contiguous() for i, tensor in enumerate(block.tensors())}
    more = list(block.extras())
    save_file(tensors, path, {_LISTS: json.dumps(lengths), _MORE: json.dumps(more)})


def read_block(path: Path) -> Batch:
    """Return the rows of a file, mapped into memory.

    Raises:
        RunError: the file is missing or damaged.

    """
    try:
        with safe_open(path, "pt") as opened:
            known = opened.metadata()
            lengths: dict[str, int | None] = json.loads(known[_LISTS])
            more: list[str] = json.loads(known.get(_MORE, "[]"))
            tensors = iter([opened.get_tensor(str(i)) for i in range(len(opened.keys()))])
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        reason = first_line(error)
        raise RunError(f"{path}: cannot be read: {reason}; prepare the rows again") from error
    codes, numbers, labels = next(tensors), next(tensors), next(tensors)
    lists: dict[str, Lists] = {}
    for name, length in lengths.items():
        values = next(tensors)
        lists[name] = values if length is None else Ragged(values, next(tensors), length)
    extras = {name: next(tensors) for name in more}
    return Batch(codes, numbers, lists, labels).with_extras(extras)


class Window:
    """Consecutive rows of several parts, read as one batch without copying all of them.

    Args:
        parts: at least one, of the same columns.

    """

    def __init__(self, parts: Sequence[Batch]) -> None:
        self._parts = list(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self._starts[-1])

    def __getitem__(self, rows: slice) -> Batch:
        """Return consecutive rows."""
        begin, end, _ = rows.indices(len(self))
        found = [
            part[max(begin - first, 0) : end - first]
            for part, (first, last) in zip(self._parts, pairwise(self._starts), strict=True)
            if begin < last and end > first
        ]
        return Batch.concatenate(found or [self._parts[0][:0]])

    def take(self, places: NDArray[Any]) -> Batch:
        """Return the rows at `places`, integers `[B]`."""
        if len(self._parts) == 1:
            return self._parts[0].take(places)
        part = np.searchsorted(self._starts, places, side="right") - 1
        order = np.argsort(part, kind="stable")
        found, ends = list[Batch](), np.cumsum(np.bincount(part, minlength=len(self._parts)))
        for number, (begin, end) in enumerate(pairwise([0, *ends.tolist()])):
            if begin < end:
                chosen = places[order[begin:end]] - self._starts[number]
                found.append(self._parts[number].take(chosen))
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return Batch.concatenate(found or [self._parts[0][:0]]).take(back)


class ShardedRows(EncodedRows):
    """Encoded rows of a split in shards; windows are those of the same rows in memory.

    Args:
        folder: of the shards.
        shards: from `ShardWriter`.
        memory_bytes: beyond this size rows are read in windows of blocks, as `EncodedRows` are.

    """

    def __init__(self, folder: Path, shards: Sequence[Shard], memory_bytes: int) -> None:
        super().__init__(folder, memory_bytes)
        self.shards = tuple(shards)
        self._take([read_block(folder / shard.file) for shard in shards], self.shards)

    def _take(self, parts: list[Batch], shards: tuple[Shard, ...]) -> None:
        self._parts, self._all = parts, shards
        self._sizes = [size for shard in shards for size in shard.blocks]
        self._like = parts[0].blank(0) if parts else None
        starts = [np.cumsum([0, *(size.rows for size in shard.blocks)]) for shard in shards]
        self._places = [
            (part, int(begin), int(end))
            for part, ends in enumerate(starts)
            for begin, end in pairwise(ends)
        ]

    def followed_by(self, other: EncodedRows, folder: Path) -> EncodedRows:
        """Return these rows and those of another split, without a copy of shards."""
        if not isinstance(other, ShardedRows):
            return super().followed_by(other, folder)
        whole = ShardedRows(self.folder, (), self.memory_bytes + other.memory_bytes)
        whole._take([*self._parts, *other._parts], (*self._all, *other._all))
        return whole

    def windows(self, order: list[int]) -> Iterator[RowWindow]:
        """Yield all rows as one window if they fit into memory, or blocks in the given order."""
        if not self.in_one_window:
            yield from super().windows(order)
        elif self._parts:
            yield self._parts[0] if len(self._parts) == 1 else Window(self._parts)

    @property
    def in_one_window(self) -> bool:
        """Whether `windows` yields all rows as one window."""
        return self.bytes <= self.memory_bytes

    def block(self, number: int) -> Batch:
        """Return the rows of one block."""
        part, begin, end = self._places[number]
        return self._parts[part][begin:end]
