"""The processes of a training run: their number, and the values they exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from crosstower.data.rows_per_process import part_of


class World:
    """A single training process; `training.distributed` has the world of several.

    A model, a loss and a stream of batches take a world and need not know how many processes there
    are. With several, each process computes its part of every batch, and the gradients of all parts
    are summed.

    >>> import torch
    >>> world = World()
    >>> world.part(5), world.sum(torch.tensor([1.0, 2.0]))
    (slice(0, 5, None), tensor([1., 2.]))
    """

    rank = 0
    size = 1

    def part(self, total: int) -> slice:
        """Return the rows of this process among `total` rows; parts differ by one row at most."""
        return part_of(total, self.rank, self.size)

    def computing(self, total: int) -> None:
        """Announce that a model is about to compute this process's part of `total` rows."""

    def computing_alone(self) -> None:
        """Announce that a model is about to compute rows that only this process knows."""

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes; its gradient goes to the values of this process."""
        return values

    def all_rows(self, rows: Tensor, total: int) -> Tensor:
        """Return the `total` rows of all processes, with gradient; each process has its `part`."""
        del total
        return rows

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return flag

    def largest(self, number: int) -> int:
        """Return the largest of the processes' numbers."""
        return number

    def all_values(self, value: float) -> list[float]:
        """Return the value of each process, by rank."""
        return [value]

    def not_finite(self) -> list[int]:
        """Return the processes that have added a number that is not finite to the last sums."""
        return []

    def by(self, rank: int, work: Callable[[], Any]) -> Any:
        """Run `work` in the process of a rank only, and return its result everywhere.

        Args:
            rank: of the process.
            work: returns plain data: numbers, texts, None, lists and dicts with texts as keys.

        """
        del rank
        return work()

    def first(self, work: Callable[[], Any]) -> Any:
        """Run `work` in the process of rank 0 only, and return its result everywhere.

        Args:
            work: returns plain data: numbers, texts, None, lists and dicts with texts as keys.

        """
        return work()


ALONE = World()
"""The world of training in one process."""
