"""Generalised binary cross-entropy over sampled negatives (Petrov & Macdonald 2023)."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from crosstower.losses.registry import RetrievalStep, register_loss


def gbce_loss(
    positive: Tensor,
    negative: Tensor,
    *,
    sampled: float,
    calibration: float = 0.75,
    left_out: Tensor | None = None,
) -> Tensor:
    """Return the mean of (-b log σ(s⁺) - Σ_j log(1 - σ(s_j⁻))) / (M + 1).

    It is the loss of gSASRec (arXiv 2308.07192, equations 10 and 16), with
    b = a (t (1 - 1/a) + 1/a), where a is the sampled share of the negatives and t the calibration.
    Sampling makes negatives rare, so that plain binary cross-entropy (t = 0) scores all items too
    high; t = 1 corrects for this in full.

    >>> import torch
    >>> gbce_loss(torch.zeros(1), torch.zeros(1, 3), sampled=0.5, calibration=0.0)
    tensor(0.6931)

    Args:
        positive: `[B]`, logit of each query with its positive.
        negative: `[B, M]`, logits with its negatives.
        sampled: a, M divided by the number of all negatives, in (0, 1].
        calibration: t, in [0, 1].
        left_out: `[B, M]`, True for accidental hits, which have no loss.

    Returns:
        A scalar.

    """
    weight = sampled * (calibration * (1 - 1 / sampled) + 1 / sampled)
    losses = F.softplus(negative)  # -log(1 - σ(s))
    if left_out is not None:
        losses = losses.masked_fill(left_out, 0.0)
    return (weight * F.softplus(-positive) + losses.sum(1)).mean() / (negative.shape[1] + 1)


@register_loss("gbce", kinds=("retrieval",), negatives="uniform")
def _gbce(
    step: RetrievalStep, *, calibration: Annotated[float, Field(ge=0, le=1)] = 0.75
) -> Tensor:
    section, drawn, rows = step.section, step.uniform(), len(step.all_positives)
    items = step.shared_vectors(torch.cat([step.all_positives, drawn]))
    positive, negative = items[step.own], items[rows:]
    hit = step.positives.unsqueeze(1) == drawn if section.mask_accidental else None
    return gbce_loss(
        (step.scaled_queries * positive).sum(1),
        step.scaled_queries @ negative.T,
        sampled=min(len(drawn) / max(step.items - 1, 1), 1.0),
        calibration=calibration,
        left_out=hit,
    )
