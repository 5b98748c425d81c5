"""Room for encoded rows side by side in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.data.ragged import Lists, Ragged

_OFFSET = 8  # bytes


@dataclass
class Arena:
    """Room for rows side by side. The system gives memory only as rows are written into it.

    `room` has space for rows up to `memory_bytes`, `used` of which are there, of `used_bytes`.
    """

    room: Batch
    memory_bytes: int
    used: int = 0
    used_bytes: int = 0

    @classmethod
    def reserve(cls, like: Batch, memory_bytes: int) -> Arena:
        """Make room for rows like these, or as much of it as the system lets a program have."""
        row = max(_fixed_bytes(like) // len(like), 1)
        while True:
            values = {n: memory_bytes // v.itemsize for n, v in _values(like).items()}
            try:
                return cls(_room(like, memory_bytes // row, values), memory_bytes)
            except RuntimeError:
                if memory_bytes == 0:
                    raise
                memory_bytes //= 2

    @classmethod
    def exactly(cls, like: Batch, rows: int, values: Mapping[str, int]) -> Arena:
        """Make room for `rows` rows with so many `values` in each ragged list column."""
        return cls(_room(like, rows, values), 0)

    def fits(self, block: Batch) -> bool:
        """Return whether there is room for more rows."""
        rows = self.used + len(block) <= len(self.room)
        return rows and self.used_bytes + bytes_of(block) <= self.memory_bytes

    def put(self, block: Batch) -> None:
        """Append rows."""
        end = self.used + len(block)
        for to, tensor in zip(_fixed(self.room), _fixed(block), strict=True):
            np.copyto(to[self.used : end].numpy(), tensor.numpy())
        for name, column in block.lists.items():
            room = self.room.lists[name]
            if isinstance(column, Ragged) and isinstance(room, Ragged):
                self._put_lists(room, column)
        self.used, self.used_bytes = end, self.used_bytes + bytes_of(block)

    def rows(self, begin: int, end: int) -> Batch:
        """Return rows without a copy of their values."""
        return self.room[begin:end]

    def _put_lists(self, room: Ragged, lists: Ragged) -> None:
        first, end = int(room.offsets[self.used]), self.used + len(lists)
        count = len(lists.values)
        np.copyto(room.values[first : first + count].numpy(), lists.values.numpy())
        np.add(lists.offsets[1:].numpy(), first, out=room.offsets[self.used + 1 : end + 1].numpy())


def bytes_of(block: Batch) -> int:
    """Return the bytes that rows take, values of lists included."""
    return _fixed_bytes(block) + sum(values.nbytes for values in _values(block).values())


def counts_of(block: Batch) -> dict[str, int]:
    """Return the number of values in each ragged list column."""
    return {name: len(values) for name, values in _values(block).items()}


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


def _fixed_bytes(block: Batch) -> int:
    tensors = sum(tensor.nbytes for tensor in _fixed(block))
    return tensors + len(_values(block)) * len(block) * _OFFSET
