"""Batches of encoded rows as column tensors; for the letters of shapes see `layout`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.data.ragged import Lists, Ragged, joined_lists


@dataclass(frozen=True)
class Batch:
    """Encoded rows, the input of every model.

    >>> batch = Batch(
    ...     codes=torch.tensor([[7], [9]]),
    ...     numbers=torch.zeros(2, 1),
    ...     lists={"tags": torch.tensor([[3, 4], [5, 0]])},
    ...     labels=torch.tensor([[1.0], [0.0]]),
    ... )
    >>> len(batch), batch[:1].codes
    (2, tensor([[7]]))

    Args:
        codes: `[B, F]`, int32.
        numbers: `[B, N]`, float32.
        lists: codes by list field: `Ragged`, or int32 `[B, L]` with 0 as padding; and the ages of
            lists that have some, by `ListField.ages`: seconds from each value to the row, int64.
        labels: `[B, T]`, float32, NaN for a missing label.
        whole: rows of the whole batch, if this is the part of one process of several.
        groups: `[B]`, int64, the hash of each row's `training.group`; None without groups.
        weights: `[B, T]`, float32, of the rows in each task's loss; None without weights.

    """

    codes: Tensor
    numbers: Tensor
    lists: dict[str, Lists]
    labels: Tensor
    whole: int | None = field(default=None, kw_only=True)
    groups: Tensor | None = field(default=None, kw_only=True)
    weights: Tensor | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        """Return B, the number of rows."""
        return self.codes.shape[0]

    @property
    def total(self) -> int:
        """Number of rows of the whole batch, which several processes may share."""
        return len(self) if self.whole is None else self.whole

    def __getitem__(self, rows: Tensor | slice) -> Batch:
        """Return some rows, in the given order."""
        lists = {name: column[rows] for name, column in self.lists.items()}
        batch = Batch(self.codes[rows], self.numbers[rows], lists, self.labels[rows])
        return batch.with_extras(self._more(lambda t: t[rows]))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Return the batch on `device`; tensors already there are not copied."""
        return self.each(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory, which a GPU reads without the CPU."""
        return self.each(lambda t: t.pin_memory())

    def record_stream(self, stream: Any) -> None:
        """Keep the memory of the tensors until the work queued on `stream` is done."""
        self.each(lambda t: recorded(t, stream))

    def take(self, places: NDArray[Any]) -> Batch:
        """Return the rows at `places`, integers `[B]`, copied by this thread alone.

        Four times faster than `self[places]`, and without threads that wait for each other.
        """

        def taken(tensor: Tensor) -> Tensor:
            return torch.from_numpy(tensor.numpy().take(places, axis=0))

        lists = {
            name: column.take(places) if isinstance(column, Ragged) else taken(column)
            for name, column in self.lists.items()
        }
        batch = Batch(taken(self.codes), taken(self.numbers), lists, taken(self.labels))
        return batch.with_extras(self._more(taken))

    def blank(self, rows: int) -> Batch:
        """Return `rows` rows of the same columns: all codes and numbers 0, all lists empty."""

        def zeros(tensor: Tensor) -> Tensor:
            return tensor.new_zeros((rows, *tensor.shape[1:]))

        lists: dict[str, Lists] = {}
        for name, column in self.lists.items():
            if isinstance(column, Ragged):
                none, ends = column.values.new_empty(0), column.offsets.new_zeros(rows + 1)
                lists[name] = Ragged(none, ends, column.length)
            else:
                lists[name] = zeros(column)
        batch = Batch(zeros(self.codes), zeros(self.numbers), lists, zeros(self.labels))
        return batch.with_extras(self._more(zeros))

    def _more(self, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Return groups and weights, where given, with a function applied to each."""
        return {name: change(tensor) for name, tensor in self.extras().items()}

    def extras(self) -> dict[str, Tensor]:
        """Return groups and weights by name, where given."""
        found = {"groups": self.groups, "weights": self.weights}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def with_extras(self, extras: Mapping[str, Tensor]) -> Self:
        """Return the batch with groups and weights, given as `extras` returns them."""
        if not extras:
            return self
        return replace(self, groups=extras.get("groups"), weights=extras.get("weights"))

    def values(self, name: str) -> Tensor:
        """Return all codes of a list field, row by row; padding is among them if it is padded."""
        column = self.lists[name]
        return column.values if isinstance(column, Ragged) else column

    def tensors(self) -> list[Tensor]:
        """Return all tensors: codes, numbers, labels, of each list field, groups and weights."""
        found = [self.codes, self.numbers, self.labels]
        for column in self.lists.values():
            ragged = isinstance(column, Ragged)
            found += [column.values, column.offsets] if ragged else [column]
        return found + list(self.extras().values())

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return the batch with every tensor changed alike, in the order of `tensors`."""
        codes, numbers, labels = (change(t) for t in (self.codes, self.numbers, self.labels))
        lists = {
            name: column.each(change) if isinstance(column, Ragged) else change(column)
            for name, column in self.lists.items()
        }
        changed = replace(self, codes=codes, numbers=numbers, lists=lists, labels=labels)
        return changed.with_extras(self._more(change))

    @staticmethod
    def concatenate(batches: list[Batch]) -> Batch:
        """Return the rows of all batches, in order; a single batch as it is."""
        if len(batches) == 1:
            return batches[0]
        names = batches[0].lists
        lists = {name: joined_lists([b.lists[name] for b in batches]) for name in names}
        more = {n: torch.cat([b.extras()[n] for b in batches]) for n in batches[0].extras()}
        return Batch(
            torch.cat([b.codes for b in batches]),
            torch.cat([b.numbers for b in batches]),
            lists,
            torch.cat([b.labels for b in batches]),
        ).with_extras(more)


def recorded(tensor: Tensor, stream: Any) -> Tensor:
    """Return the tensor, whose memory stays until the work queued on `stream` is done."""
    tensor.record_stream(stream)
    return tensor
