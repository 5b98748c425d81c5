"""The multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear, ReLU and dropout per hidden width, with He initialisation (He et al. 2015).

    >>> import torch
    >>> mlp = MLP(8, (16, 4), dropout=0.1)
    >>> mlp(torch.ones(2, 8)).shape, mlp.output_width
    (torch.Size([2, 4]), 4)

    Args:
        width: W of the input.
        hidden: widths of the layers; none makes it the identity.
        dropout: after each layer, in [0, 1).

    """

    def __init__(self, width: int, hidden: Sequence[int], *, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in hidden:
            linear = nn.Linear(width, size)
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.layers = nn.Sequential(*layers)
        self.output_width = width

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, output_width]` for x `[B, W]`."""
        return self.layers(x)
