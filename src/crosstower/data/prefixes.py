"""Lists that are beginnings of longer ones: one history serves all its positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.data.layout import PADDING
from crosstower.data.ragged import Ragged

_WIDTH = 128  # values in a row: attention costs its square, and shorter rows need more padding


@dataclass(frozen=True)
class Prefixes(Ragged):
    """B lists, each the beginning of one of G whole lists, whose values are stored once.

    Whole lists are packed into P rows of equal length, one after the other: `values` is `[P, L]`,
    padded with 0, and `offsets` `[G + 1]` are those of the whole lists.

    >>> whole = Ragged(torch.tensor([7, 8, 9, 4, 5]), torch.tensor([0, 3, 5]), 3)
    >>> lists = Prefixes.of(whole, group=torch.tensor([0, 0, 1]), sizes=torch.tensor([0, 2, 1]))
    >>> lists.padded(2).tolist()
    [[0, 0], [7, 8], [4, 0]]

    Args:
        first: `[P, L]`, the column in which the whole list of a value begins.
        newest: `[B]`, place of the last value of each list in `values`, flattened; -1 if empty.

    """

    first: Tensor
    newest: Tensor

    @staticmethod
    def of(whole: Ragged, *, group: Tensor, sizes: Tensor) -> Prefixes:  # pyright: ignore[reportIncompatibleMethodOverride] - made of other lists
        """Return the first `sizes` `[B]` values of the whole lists `group` `[B]`."""
        offsets, owners = whole.offsets, whole.owners()
        row, column, width = _packed(offsets)
        places = torch.arange(len(owners)) - offsets[owners] + column[owners]
        shape = (int(row[-1]) + 1 if len(row) else 1, width)
        values = whole.values.new_full(shape, PADDING)
        first = torch.arange(width).expand(shape).clone()
        values[row[owners], places] = whole.values
        first[row[owners], places] = column[owners]
        start = row[group] * width + column[group]
        newest = torch.where(sizes > 0, start + sizes - 1, -1)
        return Prefixes(values, offsets, whole.length, first, newest)

    def __len__(self) -> int:
        """Return B, the number of lists."""
        return len(self.newest)

    @property
    def counts(self) -> Tensor:
        """Number of values of each list `[B]`."""
        at = self.newest.clamp(min=0)
        size = at % self.first.shape[1] - self.first.flatten()[at] + 1
        return torch.where(self.newest < 0, 0, size)

    def __getitem__(self, rows: Tensor | slice) -> Prefixes:
        """Return the chosen lists, in the order given; the whole lists stay."""
        return replace(self, newest=self.newest[rows])

    def take(self, places: NDArray[Any]) -> Prefixes:
        """Return the lists at `places`, integers `[B]`."""
        return self[torch.from_numpy(places)]

    def each(self, change: Callable[[Tensor], Tensor]) -> Prefixes:
        """Return the lists with every tensor changed alike."""
        values, offsets = change(self.values), change(self.offsets)
        return Prefixes(values, offsets, self.length, change(self.first), change(self.newest))

    def padded(self, length: int | None = None) -> Tensor:
        """Return `[B, L]`, padding after the values; L is `length`, that of the column if None."""
        return self.apart().padded(length)

    def apart(self) -> Ragged:
        """Return the lists with values of their own."""
        counts = self.counts
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        shift = (self.newest.clamp(min=0) - counts + 1 - offsets[:-1]).repeat_interleave(counts)
        places = shift + torch.arange(len(shift), device=shift.device)
        return Ragged(self.values.flatten()[places], offsets, self.length)


def _packed(offsets: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return the row `[G]` and the column `[G]` of each list, in order, and the length of a row."""
    ends, counts = offsets[1:].contiguous(), offsets.diff()
    longest = int(counts.max()) if len(counts) else 1
    width = max(longest, min(_WIDTH, int(offsets[-1])), 1)
    begins = [0]  # list that begins each row, which gets as many whole lists as fit
    while begins[-1] < len(ends):
        limit = offsets[begins[-1]] + width
        begins.append(int(torch.searchsorted(ends, limit, right=True)))
    starts = torch.tensor(begins)
    row = torch.arange(len(starts) - 1).repeat_interleave(starts.diff())
    return row, offsets[:-1] - offsets[starts[row]], width
