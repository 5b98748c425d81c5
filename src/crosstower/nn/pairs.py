"""Products of pairs of fields: the factorisation machine and the dot products of DLRM."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def factorised_pairs(fields: Tensor) -> Tensor:
    """Return Σ_{i<j} e_i ⊙ e_j, whose sum over D is the second order of a factorisation machine.

    Rendle 2010, lemma 3.1: ½ ((Σ_i e_i)² - Σ_i e_i²), linear in F. In float32, since the difference
    of two large sums loses precision in a narrower dtype.

    >>> import torch
    >>> factorised_pairs(torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]))
    tensor([[23., 44.]])

    Args:
        fields: `[B, F, D]`.

    Returns:
        `[B, D]`, float32.

    """
    wide = fields.float()
    return 0.5 * (wide.sum(1).square() - wide.square().sum(1))


class DotProducts(nn.Module):
    """Dot products of all pairs of fields, i < j (Naumov et al. 2019, section 2.1.3).

    >>> import torch
    >>> DotProducts(3)(torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]))
    tensor([[11., 17., 39.]])

    Args:
        fields: F.
        with_itself: whether to include i = j.

    """

    def __init__(self, fields: int, *, with_itself: bool = False) -> None:
        super().__init__()
        first, second = torch.triu_indices(fields, fields, offset=0 if with_itself else 1)
        self.register_buffer("pairs", first * fields + second, persistent=False)
        self.output_width = len(first)

    def forward(self, fields: Tensor) -> Tensor:
        """Return `[B, output_width]` for fields `[B, F, D]`."""
        products = torch.bmm(fields, fields.transpose(1, 2))  # [B, F, F]
        return products.flatten(1).index_select(1, self.get_buffer("pairs"))
