"""Sums and pairs within the groups of a batch, for losses that compare rows with one another.

Shapes: B rows of G groups. A group holds the rows of one query, session or request.
"""

from __future__ import annotations

import torch
from torch import Tensor


def log_softmax_by_group(logits: Tensor, groups: Tensor) -> Tensor:
    """Return the log share of each row in its group's softmax `[B]`.

    >>> import torch
    >>> log_softmax_by_group(torch.zeros(3), torch.tensor([0, 0, 1])).exp()
    tensor([0.5000, 0.5000, 1.0000])

    Args:
        logits: `[B]`.
        groups: `[B]`, int64 codes from 0.

    """
    most = group_max(logits.detach(), groups)
    shifted = logits - most[groups]
    return shifted - group_sum(shifted.exp(), groups).log()[groups]


def group_sum(values: Tensor, groups: Tensor) -> Tensor:
    """Return the sum of each group `[G]`; see `log_softmax_by_group` for the arguments."""
    return values.new_zeros(_count(groups)).index_add(0, groups, values)


def group_max(values: Tensor, groups: Tensor) -> Tensor:
    """Return the largest value of each group `[G]`, -inf for a code without rows."""
    start = values.new_full((_count(groups),), -torch.inf)
    return start.scatter_reduce(0, groups, values, "amax")


def pairs_in_order(labels: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return all pairs of rows of a group with different labels: the better and the worse `[P]`.

    P grows with the square of the rows of a group.

    >>> import torch
    >>> pairs_in_order(torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([0, 0, 0, 1]))
    (tensor([0, 0]), tensor([1, 2]))

    Args:
        labels: `[B]`, higher is better.
        groups: `[B]`, int64 codes from 0.

    """
    worst = -group_max(-labels, groups)
    better = (labels > worst[groups]).nonzero().squeeze(1)  # each has a worse row in its group
    order = torch.argsort(groups, stable=True)
    sizes = torch.bincount(groups)
    starts = sizes.cumsum(0) - sizes
    partners = sizes[groups[better]]
    left = better.repeat_interleave(partners)
    before = (partners.cumsum(0) - partners).repeat_interleave(partners)
    offset = torch.arange(len(left), device=labels.device) - before
    right = order[starts[groups[left]] + offset]
    differ = labels[left] > labels[right]
    return left[differ], right[differ]


def _count(groups: Tensor) -> int:
    return int(groups.max()) + 1 if len(groups) else 0
