"""Rows of a table of weights: looked up in this process, or in the processes that hold them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.nn.frozen_rows import freeze_rows

_DRAWN = 1 << 20  # values at a time; a multiple of 16, with which torch draws normal values


class Rows(Protocol):
    """Rows of one table `[rows, D]`."""

    def fetched(self, ids: Tensor) -> AbstractContextManager[None]:
        """Return a context in which look-ups of the rows `[n]` need no exchange of their own."""
        ...

    def look_up(self, ids: Tensor) -> Tensor:
        """Return the rows `[..., D]` at `ids` `[...]`."""
        ...

    def bag(
        self, ids: Tensor, offsets: Tensor | None, *, mode: str, padding: int | None = None
    ) -> Tensor:
        """Return the mean or sum `[B, D]` of the rows of B bags, as `F.embedding_bag` does.

        Args:
            ids: `[B, L]`, or `[V]` with offsets.
            offsets: `[B + 1]`, the last one included.
            mode: mean or sum.
            padding: a row that is not part of any bag.

        """
        ...

    def freeze(self, ranges: Sequence[range]) -> None:
        """Freeze ranges of rows."""
        ...


@dataclass(frozen=True)
class LocalRows:
    """A table in the memory of this process, with sparse gradients.

    Args:
        table: `[rows, D]`, on any device.

    """

    table: nn.Parameter

    @contextmanager
    def fetched(self, ids: Tensor) -> Generator[None]:
        """Do nothing: the rows are here."""
        del ids
        yield

    def look_up(self, ids: Tensor) -> Tensor:
        """Return the rows `[..., D]` at `ids` `[...]`, on their device."""
        # Sparse is about the gradient; a compiler has no code of its own for a sparse look-up.
        found = F.embedding(ids.to(self.table.device), self.table, sparse=torch.is_grad_enabled())
        return found.to(ids.device)  # a table may be in host memory: rows go there and back

    def bag(
        self, ids: Tensor, offsets: Tensor | None, *, mode: str, padding: int | None = None
    ) -> Tensor:
        """Return the mean or sum `[B, D]` of the rows of B bags, without a tensor of all rows."""
        place = self.table.device
        pooled = F.embedding_bag(
            ids.to(place),
            self.table,
            None if offsets is None else offsets.to(place),
            mode=mode,
            sparse=True,
            include_last_offset=offsets is not None,
            padding_idx=padding,
        )
        return pooled.to(ids.device)

    def freeze(self, ranges: Sequence[range]) -> None:
        """Freeze ranges of rows."""
        freeze_rows(self.table, ranges)


@dataclass(frozen=True)
class Share:
    """The rows of each table that one process of several holds: blocks of equal size, by rank."""

    rank: int
    size: int

    def block(self, total: int) -> int:
        """Return the rows of a block of a table of `total` rows."""
        return -(-total // self.size)

    def of(self, total: int) -> range:
        """Return the rows of this process; the last processes may have fewer, or none."""
        block = self.block(total)
        return range(min(self.rank * block, total), min((self.rank + 1) * block, total))


_SHARE: ContextVar[Share | None] = ContextVar("share", default=None)


@contextmanager
def building(share: Share) -> Generator[None]:
    """Return a context in which new tables hold only the rows of one process.

    >>> with building(Share(rank=1, size=2)):
    ...     table = zero_rows(5, 2)
    >>> table.shape
    torch.Size([2, 2])

    Args:
        share: the rows of the process.

    """
    token = _SHARE.set(share)
    try:
        yield
    finally:
        _SHARE.reset(token)


def _held(total: int) -> range:
    share = _SHARE.get()
    return range(total) if share is None else share.of(total)


def zero_rows(total: int, width: int) -> nn.Parameter:
    """Return a table of zeros: the rows of this process within `building`, else all of them."""
    return nn.Parameter(torch.zeros(len(_held(total)), width))


def normal_rows(total: int, width: int, std: float, *, zeros: Sequence[range]) -> nn.Parameter:
    """Return a table of N(0, `std`²), with zeros in some ranges of rows.

    Within `building`, the table has the rows of this process alone. All values are drawn anyway,
    some at a time, so that they do not depend on the number of processes.

    >>> _ = torch.manual_seed(0)
    >>> whole = normal_rows(10, 4, 0.05, zeros=[range(3)])
    >>> _ = torch.manual_seed(0)
    >>> with building(Share(rank=1, size=2)):
    ...     part = normal_rows(10, 4, 0.05, zeros=[range(3)])
    >>> torch.equal(part, whole[5:])
    True

    Args:
        total: rows of the whole table.
        width: D.
        std: standard deviation.
        zeros: ranges of rows of the whole table.

    """
    held = _held(total)
    if len(held) == total:
        table = torch.empty(total, width).normal_(0.0, std)  # without a second copy
    else:
        table = _part_of_normal(total * width, held.start * width, held.stop * width, std)
        table = table.view(-1, width)
    for part in zeros:
        inside = range(max(part.start, held.start), min(part.stop, held.stop))
        if inside:
            table[inside.start - held.start : inside.stop - held.start] = 0.0
    return nn.Parameter(table)


def _part_of_normal(count: int, begin: int, end: int, std: float) -> Tensor:
    """Return `[begin, end)` of the `count` values that one call of `normal_` would draw."""
    kept, room, at = torch.empty(end - begin), torch.empty(2 * _DRAWN), 0
    while at < count:
        # The last values are drawn together: torch draws fewer than 16 in another way.
        stop = count if count - at < 2 * _DRAWN else at + _DRAWN
        drawn = room[: stop - at].normal_(0.0, std)
        low, high = max(begin, at), min(end, stop)
        if low < high:
            kept[low - begin : high - begin] = drawn[low - at : high - at]
        at = stop
    return kept
