"""Encoded rows, side by side in memory or in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.data.prefetch import prefetch
from crosstower.data.ragged import Lists, Ragged
from crosstower.errors import DataError

_OFFSET = 8  # bytes


class RowWindow(Protocol):
    """Rows that batches are taken from."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def __getitem__(self, rows: slice, /) -> Batch:
        """Return consecutive rows."""
        ...

    def take(self, places: NDArray[Any]) -> Batch:
        """Return the rows at `places`, integers `[B]`, in that order."""
        ...


@dataclass(frozen=True)
class BlockSize:
    """The size of encoded rows.

    Args:
        rows: B.
        fixed_bytes: bytes of the tensors `[B, ...]` and of the offsets of ragged lists.
        values: number of values of each ragged list column.
        bytes: bytes of everything.

    """

    rows: int
    fixed_bytes: int
    values: dict[str, int]
    bytes: int

    @staticmethod
    def of(block: Batch) -> BlockSize:
        """Return the size of a block."""
        rows, values = block.codes.shape[0], _values(block)
        fixed = sum(tensor.nbytes for tensor in _fixed(block)) + len(values) * rows * _OFFSET
        whole = fixed + sum(tensor.nbytes for tensor in values.values())
        return BlockSize(rows, fixed, {name: len(v) for name, v in values.items()}, whole)


@dataclass
class Arena:
    """Space for rows side by side. The system provides memory only as rows are written into it.

    `room` has space for `capacity` rows up to `memory_bytes`; `used` rows of it are filled, with
    `used_bytes`.
    """

    room: Batch
    capacity: int
    memory_bytes: int
    used: int = 0
    used_bytes: int = 0

    @classmethod
    def reserve(cls, like: Batch, size: BlockSize, memory_bytes: int) -> Arena:
        """Reserve space for rows such as `like`, or as much of it as the system allows.

        Args:
            like: at least one row.
            size: of `like`.
            memory_bytes: space for rows, values of lists included.

        """
        row = max(size.fixed_bytes // size.rows, 1)
        while True:
            values = {n: memory_bytes // v.itemsize for n, v in _values(like).items()}
            try:
                rows = memory_bytes // row
                return cls(_room(like, rows, values), rows, memory_bytes)
            except RuntimeError:
                if memory_bytes == 0:
                    raise
                memory_bytes //= 2

    @classmethod
    def exactly(cls, like: Batch, rows: int, values: Mapping[str, int]) -> Arena:
        """Reserve space for `rows` rows with `values` values in each ragged list column."""
        return cls(_room(like, rows, values), rows, 0)

    def fits(self, size: BlockSize) -> bool:
        """Return whether there is space for a block of this size."""
        rows = self.used + size.rows <= self.capacity
        return rows and self.used_bytes + size.bytes <= self.memory_bytes

    def put(self, block: Batch, size: BlockSize) -> None:
        """Append rows of this size."""
        end = self.used + size.rows
        for to, tensor in zip(_fixed(self.room), _fixed(block), strict=True):
            np.copyto(to[self.used : end].numpy(), tensor.numpy())
        for name, column in block.lists.items():
            room = self.room.lists[name]
            if isinstance(column, Ragged) and isinstance(room, Ragged):
                self._put_lists(room, column, end)
        self.used, self.used_bytes = end, self.used_bytes + size.bytes

    def rows(self, begin: int, end: int) -> Batch:
        """Return rows without a copy of their values."""
        return self.room[begin:end]

    def _put_lists(self, room: Ragged, lists: Ragged, end: int) -> None:
        first, count = int(room.offsets[self.used]), len(lists.values)
        np.copyto(room.values[first : first + count].numpy(), lists.values.numpy())
        np.add(lists.offsets[1:].numpy(), first, out=room.offsets[self.used + 1 : end + 1].numpy())


@dataclass
class EncodedRows:
    """Blocks of encoded rows: side by side in memory, or beyond `memory_bytes` in `folder`.

    Rows keep their order. Memory in use stays within `memory_bytes`, for any number of rows.
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

    def followed_by(self, other: EncodedRows, folder: Path) -> EncodedRows:
        """Return these rows and those of another split, in memory while both fit.

        Args:
            other: of the same columns.
            folder: for rows beyond the memory.

        """
        whole = EncodedRows(folder, self.memory_bytes + other.memory_bytes)
        for part in (self, other):
            for number in range(part.blocks):
                whole.add(part.block(number))
        return whole

    def block(self, number: int) -> Batch:
        """Return the rows of one block."""
        if self._held is None:
            if self._like is None:
                raise ValueError("there is no block")
            return self._read(self._like, self._files[number])
        begin = sum(size.rows for size in self._sizes[:number])
        return self._held.rows(begin, begin + self._sizes[number].rows)

    def windows(self, order: list[int]) -> Iterator[RowWindow]:
        """Yield all rows as one window from memory, or blocks from disk in the given order.

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

    @property
    def bytes(self) -> int:
        """Size of all rows."""
        return sum(size.bytes for size in self._sizes)

    @property
    def in_one_window(self) -> bool:
        """Whether `windows` yields all rows as one window."""
        return self._held is not None or not self._sizes

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
            window.put(self.block(block), self._sizes[block])
        return window.rows(0, rows)

    def _read(self, like: Batch, path: Path) -> Batch:
        tensors = load_file(path)
        kept = (tensors[str(i)] for i in range(len(like.tensors())))
        return like.each(lambda _: next(kept))


def _room(like: Batch, rows: int, values: Mapping[str, int]) -> Batch:
    def empty(tensor: Tensor) -> Tensor:
        return tensor.new_empty((rows, *tensor.shape[1:]))

    lists: dict[str, Lists] = {}
    for name, column in like.lists.items():
        if isinstance(column, Ragged):
            offsets = column.offsets.new_empty(rows + 1)
            offsets[0] = 0
            lists[name] = Ragged(column.values.new_empty(values[name]), offsets, column.length)
        else:
            lists[name] = empty(column)
    groups, weights = (None if t is None else empty(t) for t in (like.groups, like.weights))
    codes, numbers, labels = empty(like.codes), empty(like.numbers), empty(like.labels)
    return Batch(codes, numbers, lists, labels, groups=groups, weights=weights)


def _fixed(batch: Batch) -> list[Tensor]:
    """Return the tensors `[B, ...]`."""
    padded = [column for column in batch.lists.values() if isinstance(column, Tensor)]
    more = [tensor for tensor in (batch.groups, batch.weights) if tensor is not None]
    return [batch.codes, batch.numbers, batch.labels, *padded, *more]


def _values(batch: Batch) -> dict[str, Tensor]:
    return {n: column.values for n, column in batch.lists.items() if isinstance(column, Ragged)}
