"""Cross layers of DCN-V2 (Wang et al. 2021, arXiv 2008.13535) and GDCN (Wang et al. 2023).

x0 is the input of the network and x the input of the layer. Inputs and outputs are all `[B, W]`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class CrossFull(nn.Module):
    """Cross layer with a full matrix: x0 ⊙ (W x + b) + x, equation 1.

    >>> import torch
    >>> layer, x0 = CrossFull(8), torch.ones(2, 8)
    >>> layer(x0, x0).shape
    torch.Size([2, 8])

    Args:
        width: W.

    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Return the crossed features `[B, W]`."""
        return x0 * self.linear(x) + x


class CrossLowRank(nn.Module):
    """Cross layer of low rank: x0 ⊙ (U (Vᵀ x) + b) + x, equation 2.

    >>> import torch
    >>> layer, x0 = CrossLowRank(8, rank=2), torch.ones(2, 8)
    >>> layer(x0, x0).shape
    torch.Size([2, 8])

    Args:
        width: W.
        rank: columns of U and V; a quarter of W if None.

    """

    def __init__(self, width: int, *, rank: int | None = None) -> None:
        super().__init__()
        rank = rank or max(width // 4, 1)
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Return the crossed features `[B, W]`."""
        return x0 * self.up(self.down(x)) + x


class CrossMixture(nn.Module):
    """Mixture of low-rank crosses: Σ_i G_i(x) · x0 ⊙ (U_i g(C_i g(V_iᵀ x)) + b) + x, equation 3.

    G is a softmax over one linear gate per expert, g is tanh.

    >>> import torch
    >>> layer, x0 = CrossMixture(8, experts=4), torch.ones(2, 8)
    >>> layer(x0, x0).shape
    torch.Size([2, 8])

    Args:
        width: W.
        experts: number of low-rank crosses.
        rank: columns of each U_i and V_i; a quarter of W if None.

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
        """Return the crossed features `[B, W]`."""
        low = torch.tanh(torch.einsum("bw,ewr->ebr", x, self.down))
        low = torch.tanh(torch.einsum("ebr,ers->ebs", low, self.core))
        experts = torch.einsum("ebs,esw->ebw", low, self.up) + self.bias
        gates = self.gate(x).softmax(dim=1)  # [B, experts]
        return x0 * torch.einsum("be,ebw->bw", gates, experts.to(gates.dtype)) + x


class CrossGated(nn.Module):
    """Gated cross layer: x0 ⊙ (W x + b) ⊙ σ(W_g x) + x, so that noisy crosses can be shut out.

    Wang et al. 2023 (arXiv 2311.04635), section 4. The gate has no bias.

    >>> import torch
    >>> layer, x0 = CrossGated(8), torch.ones(2, 8)
    >>> layer(x0, x0).shape
    torch.Size([2, 8])

    Args:
        width: W.

    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.gate = nn.Linear(width, width, bias=False)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Return the crossed features `[B, W]`."""
        return x0 * self.linear(x) * self.gate(x).sigmoid() + x


class CrossNetwork(nn.Module):
    """A stack of cross layers that share the same x0.

    >>> import torch
    >>> network = CrossNetwork([CrossFull(8), CrossLowRank(8)])
    >>> network(torch.ones(2, 8)).shape
    torch.Size([2, 8])

    Args:
        layers: cross layers of equal width, applied in order.

    """

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
