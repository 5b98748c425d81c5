"""Dropout that does not depend on the number of processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crosstower.training.distributed.world import ProcessWorld


class PartDropout(nn.Dropout):
    """Dropout of a process's rows: its part of the mask that one process would draw.

    Every process draws the whole mask, so that random numbers are the same in all of them.

    Args:
        p: probability of a zero, in [0, 1).
        world: knows which rows the process computes.

    """

    def __init__(self, p: float, world: ProcessWorld) -> None:
        super().__init__(p)
        self.world = world

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Return the rows `[B, ...]` of this process with a share of the values set to zero."""
        if not self.training or self.p == 0.0:
            return input
        if self.world.total is None:
            mask = torch.empty_like(input).bernoulli_(1 - self.p, generator=self.world.generator)
            return input * mask.div_(1 - self.p)
        rest = list(input.shape[1:])
        own = [slice(size) for size in rest]
        if input.dim() == 3:  # lists, each process pads to its own longest
            rest[0] = self.world.largest(rest[0])
        mask = input.new_empty((self.world.total, *rest))
        mask.bernoulli_(1 - self.p).div_(1 - self.p)
        part = mask[(self.world.rows, *own)]
        return input * part if len(part) == len(input) else input  # a row that only fills a place


class ApartDropout(nn.Dropout):
    """Dropout of values that are not rows of the batch, such as packed histories.

    Each process has a mask of its own, which one process would not draw. The seed comes from the
    random numbers that all processes share, so that these stay equal, and resumed training has the
    masks of an uninterrupted run.

    Args:
        p: probability of a zero, in [0, 1).
        world: knows the rank of the process.

    """

    def __init__(self, p: float, world: ProcessWorld) -> None:
        super().__init__(p)
        self.rank = world.rank

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Return the values with a share of them set to zero."""
        if not self.training or self.p == 0.0:
            return input
        seed = int(torch.randint(0, 1 << 62, ())) + self.rank
        generator = torch.Generator(input.device).manual_seed(seed)
        mask = torch.empty_like(input).bernoulli_(1 - self.p, generator=generator)
        return input * mask.div_(1 - self.p)
