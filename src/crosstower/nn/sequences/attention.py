"""Causal attention and the feed-forward layer of sequence encoders.

Vaswani et al. 2017, "Attention is all you need".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crosstower.errors import RecipeError
from crosstower.nn.sequences.steps import Steps


class CausalAttention(nn.Module):
    """Multi-head attention in which a value reads itself and earlier values of its history.

    softmax(QKᵀ / √(D / heads)) V, then a linear layer, with dropout of the weights.

    >>> attention = CausalAttention(4, heads=2, dropout=0.0)
    >>> steps = Steps.of(torch.ones(1, 3, dtype=torch.bool))
    >>> x = torch.randn(1, 3, 4)
    >>> changed = torch.cat([x[:, :2], torch.zeros(1, 1, 4)], dim=1)  # the newest value
    >>> torch.isclose(attention(x, steps), attention(changed, steps)).all(-1).tolist()
    [[True, True, False]]

    Args:
        width: D.
        heads: number of heads, a divisor of D.
        dropout: of the attention weights, in [0, 1).

    Raises:
        RecipeError: D is not a multiple of the heads.

    """

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.heads = checked_heads(width, heads)
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        """Return `[B, L, D]` for values `[B, L, D]`."""
        query, key, value = (by_head(t, self.heads) for t in self.project(x).chunk(3, -1))
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5  # [B, heads, L, L]
        scores = scores.masked_fill(~steps.allowed.unsqueeze(1), float("-inf"))
        found = self.drop(scores.softmax(-1)) @ value  # [B, heads, L, D / heads]
        return self.out(found.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers with an activation between them: D to 4 D to D.

    >>> FeedForward(8, nn.GELU())(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 8])

    Args:
        width: D.
        activation: between the layers.

    """

    def __init__(self, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), activation, nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, L, D]` for values `[B, L, D]`."""
        return self.layers(x)


def by_head(x: Tensor, heads: int) -> Tensor:
    """Return values `[B, L, D]` as `[B, heads, L, D / heads]`.

    >>> by_head(torch.arange(4).view(1, 1, 4), 2).tolist()
    [[[[0, 1]], [[2, 3]]]]
    """
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def checked_heads(width: int, heads: int) -> int:
    """Return the number of heads.

    >>> checked_heads(8, 3)
    Traceback (most recent call last):
    crosstower.errors.RecipeError: heads: expected a divisor of the embedding width 8, got 3; ...

    Raises:
        RecipeError: D is not a multiple of it.

    """
    if width % heads:
        raise RecipeError(
            f"heads: expected a divisor of the embedding width {width}, got {heads}; change heads,"
            " or the column's dim"
        )
    return heads


def positions(length: int, width: int) -> nn.Parameter:
    """Return learned embeddings `[L, D]` of positions, N(0, 0.05²) at the start."""
    return nn.Parameter(torch.randn(length, width) * 0.05)
