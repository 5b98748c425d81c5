"""Streaming estimate of item frequencies over batches."""

from __future__ import annotations

import torch
from torch import Tensor


class StreamingFrequency:
    """Streaming estimate of how often each item occurs (Yi et al. 2019, algorithm 2, with counts).

    For each distinct item y of step t: B[y] ← (1 − alpha)·B[y] + alpha·(t − A[y]), A[y] ← t, where
    B is the mean number of steps between two occurrences. Algorithm 2 estimates the probability as
    1 / B[y], at most once per batch. Popular items occur several times in a batch, so C[y], the
    mean count per batch that has the item, is averaged in the same way; the rate of an item is
    C[y] / B[y] per step. The first interval of an item is the time since the start, unweighted.
    Memory does not depend on the length of the stream.

    >>> import torch
    >>> frequency = StreamingFrequency(3)
    >>> for _ in range(100):
    ...     frequency.update(torch.tensor([0, 0, 0, 1]))
    >>> frequency.probability(torch.tensor([0, 1]), batch_size=4)
    tensor([0.7500, 0.2500])

    Args:
        items: number of items.
        alpha: weight of the newest occurrence, in (0, 1].

    """

    def __init__(self, items: int, *, alpha: float = 0.05) -> None:
        self.alpha, self.step = alpha, 0
        self.last_seen = torch.zeros(items, dtype=torch.int64)
        self.interval = torch.zeros(items)
        self.times = torch.zeros(items)

    def update(self, items: Tensor) -> None:
        """Update the estimates with the items `[B]` of one batch."""
        self.step += 1
        seen, times = torch.unique(items, return_counts=True)
        gap = (self.step - self.last_seen[seen]).float()
        known = self.interval[seen] > 0
        for average, newest in ((self.interval, gap), (self.times, times.float())):
            smoothed = (1 - self.alpha) * average[seen] + self.alpha * newest
            average[seen] = torch.where(known, smoothed, newest)
        self.last_seen[seen] = self.step

    def probability(self, items: Tensor, *, batch_size: int) -> Tensor:
        """Return p_y `[C]`, the probability that a row of the stream has the item.

        An item not seen so far counts as if it occurred once in the next step.

        Args:
            items: `[C]`.
            batch_size: rows per batch.

        """
        interval, times = self.interval[items], self.times[items]
        seen = interval > 0
        rate = torch.where(seen, times / interval, 1.0 / (self.step + 1))
        return (rate / batch_size).clamp(max=1.0)
