"""Blocks of MaskNet: feature-wise multiplication by a mask (Wang et al. 2021, arXiv 2102.07619)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FieldNorm(nn.Module):
    """Layer normalisation of each field, with a scale and a shift per component: LN_EMB.

    Wang et al. 2021, section 3.2.

    >>> import torch
    >>> FieldNorm(3, 2)(torch.tensor([[[0.0, 8.0], [5.0, 9.0], [1.0, -1.0]]])).round()
    tensor([[-1.,  1., -1.,  1.,  1., -1.]], grad_fn=<RoundBackward0>)

    Args:
        fields: F.
        dim: D.

    """

    def __init__(self, fields: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.scale = nn.Parameter(torch.ones(fields * dim))  # vectors, which have no weight decay
        self.shift = nn.Parameter(torch.zeros(fields * dim))

    def forward(self, fields: Tensor) -> Tensor:
        """Return `[B, F * D]` for fields `[B, F, D]`."""
        return self.norm(fields).flatten(1) * self.scale + self.shift


class MaskBlock(nn.Module):
    """A layer whose input is multiplied by a mask that is computed from the embeddings.

    Wang et al. 2021, sections 3.1 and 3.3: mask = W_2 ReLU(W_1 v + b_1) + b_2, and the output is
    ReLU(LN(W (mask ⊙ x))). W has no bias, since LN has one.

    >>> import torch
    >>> block = MaskBlock(12, 8, output_width=4, reduction_ratio=2.0)
    >>> block(torch.ones(5, 8), torch.ones(5, 12)).shape
    torch.Size([5, 4])

    Args:
        embedding_width: width of the embeddings v.
        width: W of the input x.
        output_width: of the output.
        reduction_ratio: width of the mask's hidden layer as a multiple of W.
        dropout: of the output.

    """

    def __init__(
        self,
        embedding_width: int,
        width: int,
        *,
        output_width: int,
        reduction_ratio: float,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        aggregated = max(int(width * reduction_ratio), 1)
        self.mask = nn.Sequential(
            nn.Linear(embedding_width, aggregated), nn.ReLU(), nn.Linear(aggregated, width)
        )
        self.hidden = nn.Linear(width, output_width, bias=False)
        self.norm = nn.LayerNorm(output_width)
        self.dropout = nn.Dropout(dropout)
        self.output_width = output_width

    def forward(self, x: Tensor, embeddings: Tensor) -> Tensor:
        """Return `[B, output_width]` for x `[B, W]` and embeddings `[B, embedding_width]`."""
        return self.dropout(self.norm(self.hidden(self.mask(embeddings) * x)).relu())
