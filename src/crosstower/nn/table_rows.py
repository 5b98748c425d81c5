"""Rows of a table of weights: looked up in this process, or in the processes that hold them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.nn.bags import pooled_bags
from crosstower.nn.frozen_rows import freeze_rows

_DRAWN = 1 << 20  # values at a time


class TableRows(Protocol):
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
        if offsets is not None and padding is None and torch.is_grad_enabled():
            pooled = pooled_bags(ids.to(place), self.table, offsets.to(place), mode)
            return pooled.to(ids.device)
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


Room = Callable[[int, int, bool], Tensor]
"""Returns memory `[rows of the process, D]`: for the rows of a whole table, D, and whether they
are embeddings."""


@dataclass(frozen=True)
class _Building:
    """How tables are made: the rows of a process, and the memory for those of one table."""

    share: Share
    room: Room


_BUILDING: ContextVar[_Building | None] = ContextVar("building", default=None)


@contextmanager
def building(share: Share, room: Room | None = None) -> Generator[None]:
    """Return a context in which new tables hold only the rows of one process.

    >>> with building(Share(rank=1, size=2)):
    ...     table = zero_rows(5, 2)
    >>> table.shape
    torch.Size([2, 2])

    Args:
        share: the rows of the process.
        room: of tables; new memory if None.

    """

    def new(total: int, width: int, _embeds: bool) -> Tensor:
        return torch.empty(len(share.of(total)), width)

    token = _BUILDING.set(_Building(share, room or new))
    try:
        yield
    finally:
        _BUILDING.reset(token)


def zero_rows(total: int, width: int) -> nn.Parameter:
    """Return a table of zeros: the rows of this process within `building`, else all of them."""
    made = _BUILDING.get()
    if made is None:
        return nn.Parameter(torch.zeros(total, width))
    return nn.Parameter(made.room(total, width, False).zero_())


def normal_rows(total: int, width: int, std: float, *, zeros: Sequence[range]) -> nn.Parameter:
    """Return a table of N(0, `std`²), with zeros in some ranges of rows.

    Within `building`, the table has only the rows of this process. All values are drawn anyway,
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
    made = _BUILDING.get()
    if made is None:
        held = range(total)
        table = torch.empty(total, width).normal_(0.0, std)  # without a second copy
    else:
        held, table = made.share.of(total), made.room(total, width, True)
        _draw(table, total, held, std)
    for part in zeros:
        inside = range(max(part.start, held.start), min(part.stop, held.stop))
        if inside:
            table[inside.start - held.start : inside.stop - held.start] = 0.0
    return nn.Parameter(table)


def _draw(table: Tensor, total: int, held: range, std: float) -> None:
    """Write the rows `held` of the `total` ones that one call of `normal_` would draw."""
    width = table.shape[1]
    # Full draws have a multiple of 16 values, which torch draws alike together and apart. The last
    # ones are drawn together, as torch draws fewer than 16 in another way.
    step = max(_DRAWN // (16 * width), 1) * 16
    room, at = torch.empty(2 * step, width), 0
    while at < total:
        stop = total if total - at < 2 * step else at + step
        drawn = room[: stop - at].normal_(0.0, std)
        low, high = max(held.start, at), min(held.stop, stop)
        if low < high:
            table[low - held.start : high - held.start] = drawn[low - at : high - at]
        at = stop
