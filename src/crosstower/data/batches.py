"""Encoded rows in memory or on disk, and shuffled, prefetched batches of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from crosstower.batch import Batch
from crosstower.data.prefetch import prefetch
from crosstower.errors import DataError

_PREFETCH = 2


@dataclass
class EncodedRows:
    """Blocks of encoded rows. Beyond `memory_bytes` blocks go to `folder` and back on demand.

    Rows keep their order. Memory in use stays near `memory_bytes`, whatever the number of rows.
    """

    folder: Path
    memory_bytes: int
    _blocks: list[Batch | Path] = field(default_factory=list[Batch | Path])
    _sizes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    _used: int = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return sum(rows for rows, _ in self._sizes)

    def add(self, block: Batch) -> None:
        """Append rows."""
        if len(block) == 0:
            return
        size = _bytes(block)
        self._sizes.append((len(block), size))
        self._used += size
        if self._used > self.memory_bytes:
            self._spill(len(self._blocks), block)
        else:
            self._blocks.append(block)

    def windows(self, order: list[int]) -> Iterator[Batch]:
        """Yield the blocks in the given order, as many together as half the memory holds."""
        group: list[int] = []
        for block in order:
            size = sum(self._sizes[b][1] for b in [*group, block])
            if group and self._spilled and size > self.memory_bytes // 4:
                yield Batch.concatenate([self._load(b) for b in group])
                group = []
            group.append(block)
        if group:
            yield Batch.concatenate([self._load(b) for b in group])

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self._blocks)

    @property
    def _spilled(self) -> bool:
        return any(isinstance(b, Path) for b in self._blocks)

    def _spill(self, place: int, block: Batch) -> None:
        # The first spill sends every block to disk: windows then need all of the memory.
        if not self._spilled:
            for i, held in enumerate(self._blocks):
                if isinstance(held, Batch):
                    self._blocks[i] = self._write(i, held)
        self._blocks.append(self._write(place, block))

    def _write(self, place: int, block: Batch) -> Path:
        path = self.folder / f"block-{place:06d}.safetensors"
        lists = {f"list:{i}": v for i, v in enumerate(block.lists.values())}
        names = {str(i): n for i, n in enumerate(block.lists)}
        tensors = {"codes": block.codes, "numbers": block.numbers, "labels": block.labels, **lists}
        content = save({k: v.contiguous() for k, v in tensors.items()}, names)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise DataError(
                f"{path}: encoded rows cannot be written: {error.strerror}; free some space, or"
                " raise data.memory_mb"
            ) from error
        self._names = list(block.lists)
        return path

    def _load(self, place: int) -> Batch:
        block = self._blocks[place]
        if isinstance(block, Batch):
            return block
        tensors = load_file(block)
        lists = {name: tensors[f"list:{i}"] for i, name in enumerate(self._names)}
        return Batch(tensors["codes"], tensors["numbers"], lists, tensors["labels"])

    _names: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Batches:
    """Batches of `size` rows (the last one may be smaller) out of encoded rows.

    With a seed each epoch has its own order, a function of (seed, epoch) alone, so that a resumed
    run sees the same batches. Rows in memory are shuffled as a whole; rows on disk by blocks and
    then within a window of blocks.
    """

    rows: EncodedRows
    size: int
    seed: int | None = None

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return math.ceil(len(self.rows) / self.size)

    def epoch(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on, prepared in the background."""
        return prefetch(self._epoch(epoch, start), depth=_PREFETCH)

    def _epoch(self, epoch: int, start: int) -> Iterator[Batch]:
        generator = None
        order = list(range(self.rows.blocks))
        if self.seed is not None:
            generator = torch.Generator().manual_seed((self.seed << 20) + epoch)
            order = torch.randperm(len(order), generator=generator).tolist()
        left, number = None, 0
        for window in self.rows.windows(order):
            window = window if left is None else Batch.concatenate([left, window])  # noqa: PLW2901
            shuffled = _order(len(window), generator)
            full = len(window) // self.size * self.size
            for at in range(0, full, self.size):
                if number >= start:
                    yield window[shuffled[at : at + self.size]]
                number += 1
            left = window[shuffled[full:]] if full < len(window) else None
        if left is not None and number >= start:
            yield left


def _order(rows: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return torch.arange(rows)
    return torch.randperm(rows, generator=generator)


def _bytes(block: Batch) -> int:
    tensors = [block.codes, block.numbers, block.labels, *block.lists.values()]
    return sum(t.nelement() * t.element_size() for t in tensors)
