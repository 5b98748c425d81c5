"""Cross layers of DCN-V2 (Wang et al. 2021, arXiv 2008.13535).

x0 is the input of the network, x that of the layer, both `[B, W]`; so is every output.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class CrossFull(nn.Module):
    """x0 ⊙ (W x + b) + x, equation 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Return the crossed features."""
        return x0 * self.linear(x) + x


class CrossLowRank(nn.Module):
    """x0 ⊙ (U (V^T x) + b) + x, equation 2; `rank` defaults to a quarter of the width."""

    def __init__(self, width: int, *, rank: int | None = None) -> None:
        super().__init__()
        rank = rank or max(width // 4, 1)
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Return the crossed features."""
        return x0 * self.up(self.down(x)) + x


class CrossMixture(nn.Module):
    """Σ_i G_i(x) · x0 ⊙ (U_i g(C_i g(V_i^T x)) + b) + x, equation 3.

    G is a softmax over `experts` linear gates, g is tanh.
    """

    def __init__(self, width: int, *, experts: int, rank: int | None = None) -> None:
        super().__init__()
        rank = rank or max(width // 4, 1)
        self.down = nn.Parameter(_uniform(experts, width, rank))
        self.core = nn.Parameter(_uniform(experts, rank, rank))
        self.up = nn.Parameter(_uniform(experts, rank, width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.gate = nn.Linear(width, experts)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Return the crossed features."""
        low = torch.tanh(torch.einsum("bw,ewr->ebr", x, self.down))
        low = torch.tanh(torch.einsum("ebr,ers->ebs", low, self.core))
        experts = torch.einsum("ebs,esw->ebw", low, self.up) + self.bias
        gates = self.gate(x).softmax(dim=1)  # [B, experts]
        return x0 * torch.einsum("be,ebw->bw", gates, experts.to(gates.dtype)) + x


class CrossNetwork(nn.Module):
    """Applies cross layers one after the other, all with the same x0."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x0: Tensor) -> Tensor:
        """Return `[B, W]` for x0 `[B, W]`."""
        x = x0
        for layer in self.layers:
            x = layer(x0, x)
        return x


def _uniform(experts: int, rows: int, columns: int) -> Tensor:
    limit = 1.0 / math.sqrt(rows)  # as nn.Linear
    return torch.empty(experts, rows, columns).uniform_(-limit, limit)
