"""The cosine contrastive loss of SimpleX (Mao et al. 2021)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from crosstower.losses.registry import RetrievalStep, register_loss


def cosine_contrastive_loss(
    positive: Tensor,
    negative: Tensor,
    *,
    margin: float = 0.5,
    negative_weight: float = 1.0,
    left_out: Tensor | None = None,
) -> Tensor:
    """Return the mean of (1 - s⁺) + w·mean_j max(0, s_j⁻ - margin).

    It is the loss of SimpleX (Mao et al. 2021, equation 1).

    >>> import torch
    >>> cosine_contrastive_loss(torch.tensor([0.9]), torch.tensor([[0.7, 0.1]]), margin=0.5)
    tensor(0.2000)

    Args:
        positive: `[B]`, cosine of each query with its positive.
        negative: `[B, M]`, cosines with its negatives.
        margin: cosines of negatives below it have no loss.
        negative_weight: w; `python -m benchmarks contrastive` compares some by validation.
        left_out: `[B, M]`, True for accidental hits, which have no loss.

    Returns:
        A scalar.

    """
    hinge = torch.relu(negative - margin)
    if left_out is not None:
        hinge = hinge.masked_fill(left_out, 0.0)
    return (1.0 - positive + negative_weight * hinge.mean(1)).mean()


@register_loss("contrastive", kinds=("retrieval",), negatives="uniform", cosines=True)
def _contrastive(
    step: RetrievalStep,
    *,
    margin: Annotated[float, Field(ge=-1, lt=1)] = 0.5,
    negative_weight: Annotated[float, Field(gt=0)] = 10.0,
) -> Tensor:
    section, drawn, rows = step.section, step.uniform(), len(step.all_positives)
    items = step.shared_vectors(torch.cat([step.all_positives, drawn]))
    positive, negative = items[step.own], items[rows:]
    hit = step.positives.unsqueeze(1) == drawn if section.mask_accidental else None
    return cosine_contrastive_loss(
        (step.queries * positive).sum(1),
        step.queries @ negative.T,
        margin=margin,
        negative_weight=negative_weight,
        left_out=hit,
    )
