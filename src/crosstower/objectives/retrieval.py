"""Losses of retrieval models over scores of candidates.

A score is a dot product of a query and an item vector, already divided by the temperature. Shapes:
B queries, C candidates that all queries share.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def sampled_softmax_loss(
    scores: Tensor,
    positive: Tensor,
    candidate_ids: Tensor,
    *,
    log_q: Tensor | None = None,
    mask_accidental: bool = True,
) -> Tensor:
    """Return the mean cross-entropy of the positive among candidates, corrected for sampling.

    With candidates drawn by q the correction s_j - log q_j makes the softmax over them an estimate
    of the softmax over the catalogue (Bengio & Senécal 2008; Yi et al. 2019, equation 4). Without
    it popular items, drawn more often as negatives, are pushed down.

    In-batch negatives: C = B and `positive` is 0..B-1. In-batch and uniform negatives: the uniform
    ones follow, and `log_q` is that of `mixed_log_q`. The full softmax: all items, no `log_q`.

    Args:
        scores: `[B, C]`.
        positive: `[B]`, the candidate that is each query's positive.
        candidate_ids: `[C]`, which items the candidates are.
        log_q: `[C]`, log of the probability with which a candidate is drawn, up to a constant.
        mask_accidental: leave out candidates that are the same item as the positive.

    """
    logits = scores if log_q is None else scores - log_q
    if mask_accidental:
        same = candidate_ids.unsqueeze(0) == candidate_ids[positive].unsqueeze(1)  # [B, C]
        itself = F.one_hot(positive, scores.shape[1]).bool()
        logits = logits.masked_fill(same & ~itself, -math.inf)
    return F.cross_entropy(logits, positive)


def mixed_log_q(probability: Tensor, *, in_batch: int, uniform: int, catalogue: int) -> Tensor:
    """Return log q `[C]` of candidates of which `in_batch` follow the data and `uniform` do not.

    A slot of the candidate list holds item j with probability
    (B·p_j + M / N) / (B + M): B in-batch candidates drawn by p, M uniform ones out of N items.
    (Yang et al. 2020, mixed negative sampling.)

    Args:
        probability: `[C]`, p_j of each candidate: how often a row of the data holds it.
        in_batch: B.
        uniform: M.
        catalogue: N.

    """
    expected = in_batch * probability + uniform / catalogue
    return torch.log(expected / (in_batch + uniform))


def cosine_contrastive_loss(
    positive: Tensor, negative: Tensor, *, margin: float = 0.5, negative_weight: float = 1.0
) -> Tensor:
    """Return (1 - s⁺) + w·mean_j max(0, s_j⁻ - margin), SimpleX (Mao et al. 2021, equation 1).

    Args:
        positive: `[B]` cosine of each query with its positive.
        negative: `[B, M]` cosines with its negatives.
        margin: negatives below it are left alone.
        negative_weight: w.

    """
    hinge = torch.relu(negative - margin).mean(1)
    return (1.0 - positive + negative_weight * hinge).mean()
