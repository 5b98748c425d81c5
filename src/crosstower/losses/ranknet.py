"""The pairwise loss of RankNet (Burges et al. 2005)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crosstower.losses.groups import group_sum, pairs_in_order
from crosstower.losses.registry import register_loss


@register_loss("ranknet", kinds=("binary", "rating"), grouped=True, calibrated=False)
def ranknet(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """Return RankNet's loss per row `[B]`, whose sum over a group is the mean over its pairs.

    Burges et al. 2005, "Learning to Rank using Gradient Descent", with the target probability 1: a
    pair with y_i > y_j costs -log σ(s_i - s_j). Its loss belongs to row i. A group in which all
    labels are equal has no pair and the loss 0.

    >>> import torch
    >>> logits, labels = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    >>> ranknet(logits, labels, torch.tensor([0, 0, 0]))  # (log(1 + e) + log 2) / 2
    tensor([1.0032, 0.0000, 0.0000])

    Args:
        logits: `[B]`, scores s.
        labels: `[B]`, y, higher is better.
        groups: `[B]`, int64 codes from 0.

    """
    better, worse = pairs_in_order(labels, groups)
    costs = F.softplus(logits[worse] - logits[better])  # [P]
    pairs = group_sum(torch.ones_like(costs), groups[better])
    shares = costs / pairs[groups[better]]
    return torch.zeros_like(logits).index_add(0, better, shares)
