"""The listwise softmax loss (Cao et al. 2007, Bruch et al. 2019)."""

from __future__ import annotations

from torch import Tensor

from crosstower.losses.groups import group_sum, log_softmax_by_group
from crosstower.losses.registry import register_loss


@register_loss("softmax", kinds=("binary", "rating"), grouped=True, calibrated=False)
def softmax(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """Return the softmax cross-entropy of each group, by row `[B]`.

    A group costs -Σ_i y_i / Σ_j y_j · log softmax(s)_i, and row i has its term of the sum. It is
    ListNet's top-one loss (Cao et al. 2007) with labels in place of their softmax, as in Bruch et
    al. 2019, "An Analysis of the Softmax Cost Function for Learning to Rank". A group without a
    positive label has the loss 0.

    >>> import torch
    >>> logits, labels = torch.zeros(3), torch.tensor([1.0, 0.0, 1.0])
    >>> softmax(logits, labels, torch.tensor([0, 0, 0]))  # log 3, divided among two positives
    tensor([0.5493, 0.0000, 0.5493])

    Args:
        logits: `[B]`, scores s.
        labels: `[B]`, y in [0, 1].
        groups: `[B]`, int64 codes from 0.

    """
    total = group_sum(labels, groups)[groups]
    shares = labels / total.where(total > 0, 1.0)
    return shares * -log_softmax_by_group(logits, groups)
