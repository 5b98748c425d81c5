"""Shuffled batches that hold whole groups of rows, such as the rows of a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.batches import PREFETCHED
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.prefetch import prefetch
from crosstower.data.rows_per_process import filled_part_of
from crosstower.errors import DataError
from crosstower.values.arrays import Indices


@dataclass(frozen=True)
class GroupedBatches:
    """Batches of about `size` rows, in which each group is whole.

    Groups come in a new order in every epoch, a function of only (seed, epoch). A group of more
    than `size` rows is divided at random into pieces of at most `size`; each epoch divides it
    differently. An epoch has B = max(1, rows // size) batches: a piece belongs to the batch in
    which its first row falls if the rows are cut into B equal parts, so a batch may be longer or
    shorter than `size`.

    Several processes go over the same batches, and each takes its part of the rows, whatever their
    groups. A process whose part is empty takes the first row without its labels.

    Args:
        rows: encoded rows with groups, in memory.
        size: rows per batch, of all processes together.
        seed: of the orders.
        rank: number of this process.
        processes: number of processes.

    Raises:
        DataError: the rows exceed the memory, so that no window holds whole groups.

    """

    rows: EncodedRows
    size: int
    seed: int
    rank: int = 0
    processes: int = 1
    codes: Indices = field(init=False)
    """`[rows]`, the group of each row, from 0."""

    def __post_init__(self) -> None:
        """Give each group a number."""
        check_memory(self.rows)
        object.__setattr__(self, "codes", group_codes(self.rows))

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return max(len(self.rows) // self.size, 1) if len(self.rows) else 0

    def epoch(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on, prepared in the background."""
        return prefetch(self._epoch(epoch, start), depth=PREFETCHED)

    def _epoch(self, epoch: int, start: int) -> Iterator[Batch]:
        order, ends = self._order(epoch)
        for window in self.rows.windows(list(range(self.rows.blocks))):
            for number in range(start, len(self)):
                places = order[ends[number] : ends[number + 1]]
                part, fills = filled_part_of(len(places), self.rank, self.processes)
                batch = window.take(places[part])
                if self.processes > 1:
                    nothing = torch.full_like(batch.labels, torch.nan)
                    labels = nothing if fills else batch.labels
                    batch = replace(batch, labels=labels, whole=len(places))
                yield batch

    def _order(self, epoch: int) -> tuple[Indices, Indices]:
        """Return the rows of an epoch in order, and the ends of its batches with 0 before them."""
        random, rows = np.random.default_rng([self.seed, epoch]), len(self.codes)
        turn = random.permutation(int(self.codes.max(initial=-1)) + 1)[self.codes]
        order = random.permutation(rows)
        order = order[np.argsort(turn[order], kind="stable")]
        pieces = _pieces(turn[order], self.size)
        owner = pieces * len(self) // max(rows, 1)  # never skips a batch: see the class
        first = np.searchsorted(owner, np.arange(len(self)))
        return order, np.append(pieces[first], rows)


def _pieces(groups: NDArray[Any], size: int) -> Indices:
    """Return where pieces start, whole groups or parts of `size` rows of larger ones."""
    rows = np.arange(len(groups))
    new = np.append(True, groups[1:] != groups[:-1])[: len(groups)]
    begin = np.maximum.accumulate(np.where(new, rows, 0))
    return np.flatnonzero((rows - begin) % size == 0)


def check_memory(rows: EncodedRows) -> None:
    """Reject rows whose groups are not together in one window.

    Args:
        rows: of a training run by groups.

    Raises:
        DataError: the rows exceed the memory.

    """
    if not rows.in_one_window:
        raise DataError(
            f"training.group: batches of whole groups need the training rows in memory, and their"
            f" {rows.bytes / 1e6:,.1f} MB exceed the {rows.memory_bytes / 1e6:,.1f} MB that"
            " data.memory_mb leaves them; raise data.memory_mb, or remove training.group"
        )


def group_codes(rows: EncodedRows) -> Indices:
    """Return the group of each row as a code from 0 `[rows]`.

    Args:
        rows: encoded with groups.

    Raises:
        DataError: the rows have no groups.

    """
    found = [rows.block(number).groups for number in range(rows.blocks)]
    known = [groups.numpy() for groups in found if groups is not None]
    if len(known) < len(found):
        raise DataError("training.group: the encoded rows have no groups; prepare them again")
    ids = np.concatenate(known) if known else np.empty(0, np.int64)
    return np.unique(ids, return_inverse=True)[1]
