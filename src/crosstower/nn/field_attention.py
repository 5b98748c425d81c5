"""Self-attention over fields: the interacting layer of AutoInt (Song et al. 2019)."""

from __future__ import annotations

from torch import Tensor, nn


class FieldAttention(nn.Module):
    """Each field attends to all fields: multi-head self-attention with a residual.

    Song et al. 2019 (arXiv 1810.11921), section 4.3. Per head, the weights of field m are
    a_m = softmax_k(⟨W_Q e_m, W_K e_k⟩), and its output is h_m = Σ_k a_mk W_V e_k. The heads are
    concatenated: ReLU(h_m + W_res e_m). Scores are not scaled, as in the paper.

    >>> import torch
    >>> FieldAttention(8, width=6, heads=2)(torch.ones(5, 3, 8)).shape
    torch.Size([5, 3, 6])

    Args:
        dim: D of the input.
        width: of the output, all heads together.
        heads: number of heads, a divisor of `width`.

    """

    def __init__(self, dim: int, *, width: int, heads: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, 4 * width, bias=False)  # W_Q, W_K, W_V, W_res
        nn.init.normal_(self.project.weight, std=dim**-0.5)
        self._heads = heads

    def forward(self, fields: Tensor) -> Tensor:
        """Return `[B, F, width]` for fields `[B, F, D]`."""
        *parts, residual = self.project(fields).chunk(4, dim=2)
        query, key, value = (self._apart(part) for part in parts)
        weights = (query @ key.transpose(2, 3)).softmax(dim=3)  # [B, heads, F, F]
        attended = (weights @ value).transpose(1, 2).flatten(2)
        return (attended + residual).relu()

    def _apart(self, part: Tensor) -> Tensor:
        """Return `[B, heads, F, width / heads]`."""
        return part.unflatten(2, (self._heads, -1)).transpose(1, 2)
