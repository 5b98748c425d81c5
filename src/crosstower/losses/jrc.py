"""JRC: joint ranking and calibration (Sheng et al. 2023)."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from crosstower.losses.groups import log_softmax_by_group
from crosstower.losses.registry import register_loss


@register_loss("jrc", kinds=("binary",), grouped=True)
def jrc(
    logits: Tensor,
    labels: Tensor,
    groups: Tensor,
    *,
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Tensor:
    """Return JRC's loss of each row `[B]`: alpha · calibration + (1 - alpha) · ranking.

    Sheng et al. 2023, "Joint Optimization of Ranking and Calibration with Contextualized Hybrid
    Model". The paper has two logits f[0] and f[1] per row; a head here has one, s, equivalent to
    f = (-s/2, s/2). Calibration is the cross-entropy of σ(s) = softmax(f)[1].
    Ranking is -log of the row's share, among all rows of its group, of exp(f[y]) for its label y.

    >>> import torch
    >>> logits, labels = torch.zeros(2), torch.tensor([1.0, 0.0])
    >>> jrc(logits, labels, torch.tensor([0, 0]))  # both parts are log 2
    tensor([0.6931, 0.6931])

    Args:
        logits: `[B]`, log odds s.
        labels: `[B]`, 0 or 1.
        groups: `[B]`, int64 codes from 0.
        alpha: weight of the calibration, in [0, 1].

    """
    calibration = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    positive = log_softmax_by_group(logits / 2, groups)
    negative = log_softmax_by_group(-logits / 2, groups)
    ranking = -(labels * positive + (1 - labels) * negative)
    return alpha * calibration + (1 - alpha) * ranking
