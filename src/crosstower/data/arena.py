"""Memory for encoded rows, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.data.ragged import Lists, Ragged

_OFFSET = 8  # bytes


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
        rows, values = len(block), _values(block)
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
    return Batch(empty(like.codes), empty(like.numbers), lists, empty(like.labels))


def _fixed(batch: Batch) -> list[Tensor]:
    """Return the tensors `[B, ...]`."""
    padded = [column for column in batch.lists.values() if isinstance(column, Tensor)]
    return [batch.codes, batch.numbers, batch.labels, *padded]


def _values(batch: Batch) -> dict[str, Tensor]:
    return {n: column.values for n, column in batch.lists.items() if isinstance(column, Ragged)}
