"""Encoded rows in memory or on disk, and shuffled, prefetched batches of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from crosstower.data.arena import Arena, BlockSize
from crosstower.data.batch import Batch
from crosstower.data.prefetch import prefetch
from crosstower.errors import DataError

_PREFETCH = 2
_COPIED = 65_536  # rows


@dataclass
class EncodedRows:
    """Blocks of encoded rows: side by side in memory, or beyond `memory_bytes` in `folder`.

    Rows keep their order. Memory in use stays within `memory_bytes`, whatever the number of rows.
    """

    folder: Path
    memory_bytes: int
    _sizes: list[BlockSize] = field(default_factory=list[BlockSize])
    _held: Arena | None = None
    _files: list[Path] = field(default_factory=list[Path])
    _like: Batch | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return sum(size.rows for size in self._sizes)

    def add(self, block: Batch) -> None:
        """Append rows."""
        size = BlockSize.of(block)
        if size.rows == 0:
            return
        if not self._sizes:
            self._held = Arena.reserve(block, size, self.memory_bytes)
        if self._held is not None and not self._held.fits(size):
            self._spill(self._held)
        if self._held is None:
            self._write(block)
        else:
            self._held.put(block, size)
        self._sizes.append(size)

    @staticmethod
    def together(parts: Sequence[EncodedRows], folder: Path) -> EncodedRows:
        """Return a copy of all rows of several splits, in memory as far as theirs goes.

        Args:
            parts: each with a row.
            folder: for what is beyond.

        """
        whole = EncodedRows(folder, sum(part.memory_bytes for part in parts))
        for part in parts:
            for window in part.windows(list(range(part.blocks))):
                for start in range(0, len(window), _COPIED):
                    whole.add(window[start : start + _COPIED])
        return whole

    def windows(self, order: list[int]) -> Iterator[Batch]:
        """Yield all rows at once from memory, or from disk blocks in the given order.

        From disk as many blocks come together as a quarter of the memory holds. Three such windows
        are there at once: one is used, one waits, one is read in the background.
        """
        if self._held is not None:
            yield self._held.rows(0, len(self))
        else:
            yield from prefetch(map(self._load, self._groups(order)), depth=1)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self._sizes)

    def _groups(self, order: list[int]) -> Iterator[list[int]]:
        group, taken = list[int](), 0
        for block in order:
            if group and taken + self._sizes[block].bytes > self.memory_bytes // 4:
                yield group
                group, taken = [], 0
            group.append(block)
            taken += self._sizes[block].bytes
        if group:
            yield group

    def _spill(self, held: Arena) -> None:
        # Every block goes to disk: windows then need all of the memory.
        self._like, begin = held.room.blank(0), 0
        for size in self._sizes:
            self._write(held.rows(begin, begin + size.rows))
            begin += size.rows
        self._held = None

    def _write(self, block: Batch) -> None:
        path = self.folder / f"block-{len(self._files):06d}.safetensors"
        names = {str(i): n for i, n in enumerate(block.lists)}
        tensors = dict(enumerate(block.tensors()))
        content = save({str(k): v.contiguous() for k, v in tensors.items()}, names)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise DataError(
                f"{path}: encoded rows cannot be written: {error.strerror}; free some space, or"
                " raise data.memory_mb"
            ) from error
        self._files.append(path)

    def _load(self, group: list[int]) -> Batch:
        if self._like is None:
            raise ValueError("a window of no blocks")
        sizes = [self._sizes[block] for block in group]
        rows = sum(size.rows for size in sizes)
        values = {n: sum(size.values[n] for size in sizes) for n in sizes[0].values}
        window = Arena.exactly(self._like, rows, values)
        for block in group:
            window.put(self._read(self._like, self._files[block]), self._sizes[block])
        return window.rows(0, rows)

    def _read(self, like: Batch, path: Path) -> Batch:
        tensors = load_file(path)
        kept = (tensors[str(i)] for i in range(len(like.tensors())))
        return like.each(lambda _: next(kept))


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
        parts, seen = list[Batch](), 0
        for window in self.rows.windows(order):
            rows, at = len(window), 0
            places = _shuffled(rows, generator)
            while at < rows:
                number, filled = divmod(seen, self.size)
                end = min(at + self.size - filled, rows)
                if number >= start:
                    chosen = slice(at, end)
                    parts.append(window[chosen] if places is None else window.take(places[chosen]))
                seen, at = seen + end - at, end
                if seen % self.size == 0 and parts:
                    yield _joined(parts)
                    parts = []
        if parts:
            yield _joined(parts)


def _shuffled(rows: int, generator: torch.Generator | None) -> NDArray[Any] | None:
    if generator is None:
        return None
    kind = torch.int32 if rows < 2**31 else torch.int64  # narrow rows are not much larger
    return torch.randperm(rows, generator=generator, dtype=kind).numpy()


def _joined(parts: list[Batch]) -> Batch:
    return parts[0] if len(parts) == 1 else Batch.concatenate(parts)
