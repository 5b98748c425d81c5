"""A batch: slices of column tensors, never rows of Python objects. Shapes: see `layout`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Encoded rows.

    `codes` is `[B, F]` int32, `numbers` `[B, N]` float32, `lists` one `[B, L]` int32 tensor a
    list field (0 is padding), `labels` `[B, T]` float32 where NaN is a missing label.
    """

    codes: Tensor
    numbers: Tensor
    lists: dict[str, Tensor]
    labels: Tensor

    def __len__(self) -> int:
        """Return B, the number of rows."""
        return self.codes.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> Batch:
        """Return the chosen rows, in the order given."""
        lists = {name: column[rows] for name, column in self.lists.items()}
        return Batch(self.codes[rows], self.numbers[rows], lists, self.labels[rows])

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Return the batch on `device`; tensors already there are not copied."""
        return self.each(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory, from which a GPU copies by itself."""
        return self.each(lambda t: t.pin_memory())

    def record_stream(self, stream: Any) -> None:
        """Keep the memory of the tensors until `stream` has done what it was given by now."""
        self.each(lambda t: _recorded(t, stream))

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return the batch with every tensor changed alike."""
        lists = {name: change(column) for name, column in self.lists.items()}
        codes, numbers, labels = (change(t) for t in (self.codes, self.numbers, self.labels))
        return replace(self, codes=codes, numbers=numbers, lists=lists, labels=labels)

    @staticmethod
    def concatenate(batches: list[Batch]) -> Batch:
        """Return the rows of all batches, in order."""
        lists = {name: torch.cat([b.lists[name] for b in batches]) for name in batches[0].lists}
        return Batch(
            torch.cat([b.codes for b in batches]),
            torch.cat([b.numbers for b in batches]),
            lists,
            torch.cat([b.labels for b in batches]),
        )


def _recorded(tensor: Tensor, stream: Any) -> Tensor:
    tensor.record_stream(stream)
    return tensor
