"""The relative time bias of HSTU (Zhai et al. 2024, arXiv 2402.17152, appendix)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BUCKETS = 128
"""Buckets of a time difference; the last one begins at about a billion years."""

_STEP = 0.301  # about log₁₀ 2, of a natural logarithm: each bucket ends 1.35 times later


class TimeBias(nn.Module):
    """A learned bias of attention per bucket of a time difference, and per head.

    Weights start at zero, and that of a bucket without a training pair stays there: such a
    difference counts as no bias.

    >>> import torch
    >>> bias = TimeBias(heads=2)
    >>> bias(time_buckets(torch.tensor([[[0, 60], [3_600, 60]]]))).shape
    torch.Size([1, 2, 2, 2])

    Args:
        heads: of the attention.

    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(BUCKETS, heads))

    def forward(self, buckets: Tensor) -> Tensor:
        """Return `[B, heads, ...]` for buckets `[B, ...]`."""
        # The gradient of an embedding's few rows would take ten times as long on a CPU.
        found = self.weight.index_select(0, buckets.flatten())
        return found.view(*buckets.shape, -1).movedim(-1, 1)


def time_buckets(seconds: Tensor) -> Tensor:
    """Return the bucket ⌊ln(max(1, Δ)) / 0.301⌋ of each time difference Δ, at most 127.

    Whole seconds are compared with the bounds of buckets as integers: float32 holds differences
    only up to half a year exactly.

    >>> import torch
    >>> time_buckets(torch.tensor([0, 1, 2, 60, 86_400, 31_536_000])).tolist()
    [0, 0, 2, 13, 37, 57]

    Args:
        seconds: int64 of any shape; negative ones count as 0.

    """
    bounds = torch.tensor(_BOUNDS, device=seconds.device)
    return torch.bucketize(seconds.contiguous(), bounds, right=True)


def event_buckets(ages: Tensor, first: Tensor | None = None) -> Tensor:
    """Return the buckets `[B, L, L]` of the time from value j to the event after value i.

    The event after a value is the next one of its history; after the newest one it is the event
    that is predicted, whose age is 0.

    >>> import torch
    >>> event_buckets(torch.tensor([[90, 60, 0]]))[0, 1].tolist()  # 90, 60 and 0 seconds before it
    [14, 13, 0]

    Args:
        ages: `[B, L]`, int64, seconds from a value's event to the one that is predicted; 0 for
            padding.
        first: `[B, L]`, the column in which the history of each value begins; 0 if None.

    """
    after = F.pad(ages[:, 1:], (0, 1))
    if first is not None:
        after = torch.where(F.pad(first[:, 1:], (0, 1), value=-1) == first, after, 0)
    return time_buckets(ages.unsqueeze(1) - after.unsqueeze(2))


_BOUNDS = [math.ceil(math.exp(_STEP * bucket)) for bucket in range(1, BUCKETS)]
