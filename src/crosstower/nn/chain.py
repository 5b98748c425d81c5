"""Chained events: the probability of each is a product along the chain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def chained_logits(logits: Sequence[Tensor]) -> list[Tensor]:
    """Return the log-odds of P(1), P(1)·P(2 | 1), P(1)·P(2 | 1)·P(3 | 2), ...

    Ma et al. 2018, "Entire Space Multi-Task Model", equation 2: pCTCVR = pCTR · pCVR, learned
    on all impressions. log p and log q, with q_k = 1 - P(1)·…·P(k), are accumulated in log space:
    q_k = q_{k-1} + P(1)·…·P(k-1)·(1 - P(k | k-1)). Very rare and near-certain events therefore keep
    their precision, and a confident wrong chain still has a gradient.

    >>> import torch
    >>> click, purchase_given_click = torch.tensor([0.0]), torch.tensor([0.0])
    >>> chained = chained_logits([click, purchase_given_click])
    >>> [float(logit.sigmoid()) for logit in chained]
    [0.5, 0.25]

    Args:
        logits: `[B]` per event, each conditional on the event before it.

    Returns:
        `[B]` per event, unconditional; float32, except the first, which is returned as given.

    """
    chained, first = [logits[0]], logits[0].float()
    log_p, log_q = F.logsigmoid(first), F.logsigmoid(-first)
    for logit in logits[1:]:
        given = logit.float()
        log_q = torch.logaddexp(log_q, log_p + F.logsigmoid(-given))
        log_p = log_p + F.logsigmoid(given)
        chained.append(log_p - log_q)
    return chained
