"""Lists of codes side by side, without padding: memory follows their values, not the longest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.data.layout import PADDING


@dataclass(frozen=True)
class Ragged:
    """B lists of codes, ages or places; list i is `values[offsets[i]:offsets[i + 1]]`.

    `values` `[V]` is int32, for ages and for places of items int64; `offsets` `[B + 1]` is int64
    and starts at 0. No list of the column has more than `length` values.
    """

    values: Tensor
    offsets: Tensor
    length: int

    @staticmethod
    def of(values: NDArray[Any], counts: NDArray[np.int64], length: int) -> Ragged:
        """Return lists of `counts` `[B]` values each, out of `values` `[V]`."""
        return Ragged(torch.from_numpy(values), torch.from_numpy(_offsets(counts)), length)

    def __len__(self) -> int:
        """Return B, the number of lists."""
        return self.offsets.shape[0] - 1

    @property
    def counts(self) -> Tensor:
        """Number of values of each list `[B]`."""
        return self.offsets.diff()

    def owners(self) -> Tensor:
        """Return the list that each value is in, `[V]`."""
        rows = torch.arange(len(self), device=self.values.device)
        return rows.repeat_interleave(self.counts, output_size=self.values.shape[0])

    def __getitem__(self, rows: Tensor | slice) -> Ragged:
        """Return the chosen lists, in the order given; a run of them is not copied."""
        if isinstance(rows, slice):
            begin, end, step = rows.indices(len(self))
            end = max(begin, end) if step > 0 else end
            if step == 1:
                return self._run(begin, end)
            rows = torch.arange(begin, end, step, device=self.offsets.device)
        elif rows.dtype == torch.bool:
            rows = rows.nonzero().squeeze(1)
        if self.values.device.type == "cpu":
            return self.take(rows.numpy())
        rows = rows.to(self.offsets.device).long()
        starts, counts = self.offsets[:-1][rows], self.counts[rows]
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        shift = (starts - offsets[:-1]).repeat_interleave(counts)
        places = shift + torch.arange(shift.shape[0], device=shift.device)
        return replace(self, values=self.values[places], offsets=offsets)

    def take(self, places: NDArray[Any]) -> Ragged:
        """Return the lists at `places`, integers `[B]`, copied by this thread alone."""
        all_offsets = self.offsets.numpy()
        starts, counts = all_offsets[:-1][places], np.diff(all_offsets)[places]
        offsets = _offsets(counts)
        chosen = np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])
        values = torch.from_numpy(self.values.numpy().take(chosen))
        return Ragged(values, torch.from_numpy(offsets), self.length)

    def padded(self, length: int | None = None) -> Tensor:
        """Return `[B, L]`, padding after the values; L is `length`, that of the column if None."""
        width = self.length if length is None else length
        table = self.values.new_full((len(self), width), PADDING)
        owners = self.owners()
        place = torch.arange(owners.shape[0], device=owners.device) - self.offsets[owners]
        table[owners, place] = self.values
        return table

    def to_longest(self) -> Tensor:
        """Return `[B, L]` with L the longest of these lists, at least 1."""
        return self.padded(max(int(self.counts.max()), 1) if len(self) else 1)

    def each(self, change: Callable[[Tensor], Tensor]) -> Ragged:
        """Return the lists with both tensors changed alike."""
        return replace(self, values=change(self.values), offsets=change(self.offsets))

    def _run(self, begin: int, end: int) -> Ragged:
        first, last = int(self.offsets[begin]), int(self.offsets[end])
        offsets = self.offsets[begin : end + 1]
        return replace(
            self, values=self.values[first:last], offsets=offsets - first if first else offsets
        )


Lists = Tensor | Ragged
"""The lists of a column: padded `[B, L]`, or ragged."""


def padded(lists: Lists) -> Tensor:
    """Return lists of either form as `[B, L]`."""
    return lists.padded() if isinstance(lists, Ragged) else lists


def joined_lists(parts: Sequence[Lists]) -> Lists:
    """Return the lists of all parts, in order; the parts are all padded, or all ragged."""
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if tensors:
        return torch.cat(tensors)
    ragged = [part for part in parts if isinstance(part, Ragged)]
    counts = torch.cat([part.counts for part in ragged])
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    values = torch.cat([part.values for part in ragged])
    return Ragged(values, offsets, max(part.length for part in ragged))


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets
