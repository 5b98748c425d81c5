"""Events that need one another: the probability of each is a product along the chain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def chained_logits(logits: Sequence[Tensor]) -> list[Tensor]:
    """Return log-odds of P(1), P(1)·P(2 | 1), P(1)·P(2 | 1)·P(3 | 2), ...

    Ma et al. 2018, "Entire Space Multi-Task Model", equation 2: pCTCVR = pCTR · pCVR, learnt on all
    impressions. Both logarithms are summed from logarithms, with q_k = 1 - P(1)·…·P(k) by
    q_k = q_{k-1} + P(1)·…·P(k-1)·(1 - P(k | k-1)). So rare events and sure ones keep their digits,
    and a chain that is sure and wrong has a gradient.

    Args:
        logits: `[B]` each, of every event given the one before it.

    """
    chained, first = [logits[0]], logits[0].float()
    log_p, log_q = F.logsigmoid(first), F.logsigmoid(-first)
    for logit in logits[1:]:
        given = logit.float()
        log_q = torch.logaddexp(log_q, log_p + F.logsigmoid(-given))
        log_p = log_p + F.logsigmoid(given)
        chained.append(log_p - log_q)
    return chained
