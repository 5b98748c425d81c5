"""How often items come by in a stream of batches, estimated as it goes."""

from __future__ import annotations

import torch
from torch import Tensor


class StreamingFrequency:
    """Estimates the steps between two sightings of an item (Yi et al. 2019, algorithm 2).

    B[y] ← (1 − alpha)·B[y] + alpha·(t − A[y]), A[y] ← t for each distinct item y of step t. An item
    that was seen once has the interval since the start, not a share alpha of it, so that early
    estimates are not too short. Memory does not depend on the length of the stream.

    Args:
        items: how many there are.
        alpha: weight of the newest interval.

    """

    def __init__(self, items: int, *, alpha: float = 0.05) -> None:
        self.alpha, self.step = alpha, 0
        self.last_seen = torch.zeros(items)
        self.interval = torch.zeros(items)

    def update(self, items: Tensor) -> None:
        """Take in the items `[B]` of one batch."""
        self.step += 1
        seen = torch.unique(items)
        gap = self.step - self.last_seen[seen]
        known = self.interval[seen] > 0
        smoothed = (1 - self.alpha) * self.interval[seen] + self.alpha * gap
        self.interval[seen] = torch.where(known, smoothed, gap)
        self.last_seen[seen] = self.step

    def probability(self, items: Tensor, *, batch_size: int) -> Tensor:
        """Return p_y `[C]`, the probability that a row of the stream holds the item.

        A batch of B rows holds y with probability 1 - (1 - p)^B = 1 / B[y]. Items never seen are
        taken to come once in all the steps so far.
        """
        interval = self.interval[items]
        interval = torch.where(interval > 0, interval, float(self.step + 1)).double()
        # An item of every batch may be there more than once; half a step keeps p below 1.
        in_batch = (1.0 / interval).clamp(max=1.0 - 0.5 / (self.step + 1))
        return -torch.expm1(torch.log1p(-in_batch) / batch_size).float()
