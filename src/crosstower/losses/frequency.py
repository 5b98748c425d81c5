"""How often items come by in a stream of batches, estimated as it goes."""

from __future__ import annotations

import torch
from torch import Tensor


class StreamingFrequency:
    """Estimates how often each item comes by (Yi et al. 2019, algorithm 2, with counts).

    For each distinct item y of step t: B[y] ← (1 − alpha)·B[y] + alpha·(t − A[y]), A[y] ← t, the
    steps between two sightings. Algorithm 2 takes 1 / B[y] for the probability, which is at most
    one a batch; popular items are there several times, so C[y], the number of times per sighting,
    is averaged alike, and an item's rate is C[y] / B[y] a step. An item that was seen once has the
    interval since the start, not a share alpha of it. Memory does not depend on the stream.

    Args:
        items: how many there are.
        alpha: weight of the newest sighting.

    """

    def __init__(self, items: int, *, alpha: float = 0.05) -> None:
        self.alpha, self.step = alpha, 0
        self.last_seen = torch.zeros(items, dtype=torch.int64)
        self.interval = torch.zeros(items)
        self.times = torch.zeros(items)

    def update(self, items: Tensor) -> None:
        """Take in the items `[B]` of one batch."""
        self.step += 1
        seen, times = torch.unique(items, return_counts=True)
        gap = (self.step - self.last_seen[seen]).float()
        known = self.interval[seen] > 0
        for average, newest in ((self.interval, gap), (self.times, times.float())):
            smoothed = (1 - self.alpha) * average[seen] + self.alpha * newest
            average[seen] = torch.where(known, smoothed, newest)
        self.last_seen[seen] = self.step

    def probability(self, items: Tensor, *, batch_size: int) -> Tensor:
        """Return p_y `[C]`, the probability that a row of the stream holds the item.

        Items never seen are taken to come once in all the steps so far and one more.
        """
        interval, times = self.interval[items], self.times[items]
        seen = interval > 0
        rate = torch.where(seen, times / interval, 1.0 / (self.step + 1))
        return (rate / batch_size).clamp(max=1.0)
