"""The layer of Wukong: factorisation machines that can be stacked (Zhang et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crosstower.nn.mlp import MLP


class WukongLayer(nn.Module):
    """Factorisation machines and linear combinations of fields, so that layers double the degree.

    Zhang et al. 2024 (arXiv 2403.02545), section 3: X' = LN([FMB(X), LCB(X)] + W X), where
    FMB(X) = MLP(LN(X Xᵀ Y)) gives F_m fields and LCB(X) = W_L X gives F_l fields. W is the
    identity if F_m + F_l = F. Y `[F, rank]` is a learned matrix; the paper's attentive form of it
    is not implemented.

    >>> import torch
    >>> layer = WukongLayer(5, 8, machine_fields=2, linear_fields=3, rank=4, hidden=(16,))
    >>> layer(torch.ones(7, 5, 8)).shape
    torch.Size([7, 5, 8])

    Args:
        fields: F of the input.
        dim: D.
        machine_fields: F_m.
        linear_fields: F_l.
        rank: columns of Y.
        hidden: widths of the MLP below its last layer.
        dropout: after each dense layer of the MLP.

    """

    def __init__(
        self,
        fields: int,
        dim: int,
        *,
        machine_fields: int,
        linear_fields: int,
        rank: int,
        hidden: Sequence[int],
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.output_fields = machine_fields + linear_fields
        self.compress = nn.Parameter(torch.randn(fields, rank))  # Y
        self.machine_norm = nn.LayerNorm(fields * rank)
        self.mlp = MLP(fields * rank, hidden, dropout=dropout)
        self.machine = nn.Linear(self.mlp.output_width, machine_fields * dim)
        self.linear = nn.Linear(fields, linear_fields, bias=False)  # W_L
        same = fields == self.output_fields
        self.residual = nn.Identity() if same else nn.Linear(fields, self.output_fields, bias=False)
        self.norm = nn.LayerNorm(dim)

    def forward(self, fields: Tensor) -> Tensor:
        """Return `[B, F_m + F_l, D]` for fields `[B, F, D]`."""
        turned = fields.transpose(1, 2)  # [B, D, F]
        products = fields @ (turned @ self.compress)  # X Xᵀ Y, [B, F, rank]
        machine = self.machine(self.mlp(self.machine_norm(products.flatten(1))))
        machine = machine.unflatten(1, (-1, fields.shape[2]))  # [B, F_m, D]
        linear = self.linear(turned).transpose(1, 2)  # [B, F_l, D]
        residual = self.residual(turned).transpose(1, 2)
        return self.norm(torch.cat([machine, linear], dim=1) + residual)
