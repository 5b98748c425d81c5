"""Events that need one another: the probability of each is a product along the chain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALLEST_DOUBT = 1e-7


def chained_logits(logits: Sequence[Tensor]) -> list[Tensor]:
    """Return log-odds of P(1), P(1)·P(2 | 1), P(1)·P(2 | 1)·P(3 | 2), ...

    Ma et al. 2018, "Entire Space Multi-Task Model", equation 2: pCTCVR = pCTR · pCVR, learnt on all
    impressions. Computed from logarithms, so that rare events keep their digits; a probability
    stays 1e-7 below 1.

    Args:
        logits: `[B]` each, of every event given the one before it.

    """
    chained, log_p = [logits[0]], F.logsigmoid(logits[0].float())
    for logit in logits[1:]:
        log_p = log_p + F.logsigmoid(logit.float())
        sure = log_p.clamp(max=-_SMALLEST_DOUBT)
        chained.append(sure - torch.log(-torch.expm1(sure)))
    return chained
