"""Bayesian personalised ranking (Rendle et al. 2009)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crosstower.losses.groups import pairs_in_order
from crosstower.losses.registry import register_loss


@register_loss("bpr", kinds=("binary",), grouped=True, calibrated=False)
def bpr(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """Return BPR's loss per row `[B]`; rows other than positives have the loss 0.

    Rendle et al. 2009, "BPR: Bayesian Personalized Ranking from Implicit Feedback", BPR-Opt
    without its regularisation: a positive i and a negative j drawn uniformly from its group cost
    -log σ(s_i - s_j). The value is the expectation over that draw, the mean over the negatives of
    the group. A positive without a negative in its group has the loss 0.

    >>> import torch
    >>> logits, labels = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 1.0])
    >>> bpr(logits, labels, torch.tensor([0, 0, 0]))  # log(1 + e)
    tensor([1.3133, 0.0000, 1.3133])

    Args:
        logits: `[B]`, scores s.
        labels: `[B]`, 1 for a positive, 0 for a negative.
        groups: `[B]`, int64 codes from 0.

    """
    positive, negative = pairs_in_order(labels, groups)
    costs = F.softplus(logits[negative] - logits[positive])  # [P]
    negatives = torch.bincount(positive, minlength=len(logits)).clamp(min=1)
    return torch.zeros_like(logits).index_add(0, positive, costs) / negatives
