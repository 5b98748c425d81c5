"""HSTU: pointwise attention with gates (Zhai et al. 2024, arXiv 2402.17152).

Shapes: see `crosstower.data.layout`.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.nn.sequences.attention import by_head, checked_heads, positions
from crosstower.nn.sequences.registry import register_sequence
from crosstower.nn.sequences.stack import Stack
from crosstower.nn.sequences.steps import Steps
from crosstower.nn.sequences.time_bias import TimeBias


@register_sequence("hstu")
class Hstu(Stack):
    """A stack of hierarchical sequential transduction units, with learned positions.

    >>> import torch
    >>> encode = Hstu(8, length=5, dropout=0.1)
    >>> present = torch.tensor([[True, True, False], [True, True, True]])
    >>> encode(torch.ones(2, 3, 8), Steps.of(present)).shape
    torch.Size([2, 3, 8])

    Args:
        width: D.
        length: largest L.
        dropout: of the input and the output of each block.
        blocks: number of blocks.
        heads: of the attention, a divisor of D.
        times: add a bias by the time between events; needs `Steps.times`.

    Raises:
        RecipeError: D is not a multiple of the heads.

    """

    def __init__(
        self,
        width: int,
        length: int,
        *,
        dropout: float,
        blocks: int = 2,
        heads: int = 1,
        times: bool = False,
    ) -> None:
        block = partial(HstuBlock, width, heads, length, dropout=dropout, times=times)
        super().__init__(width, length, block, blocks=blocks, dropout=dropout)


class HstuBlock(nn.Module):
    """U, V, Q, K = SiLU(W₁ LN(x)); out = x + dropout(W₂ (LN(A V) ⊙ U)), equations 1 to 3.

    A = SiLU(QKᵀ + b) / N, causal and without a softmax, where b is a learned bias by the distance
    of two values in steps, per head, and N the largest length. With times, b is the sum of this and
    of a bias by the time from the value that is read to the event after the reading one.

    Args:
        width: D.
        heads: of the attention, a divisor of D.
        length: N.
        dropout: of the output.
        times: add the bias by time.

    """

    def __init__(
        self, width: int, heads: int, length: int, *, dropout: float, times: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.length = checked_heads(width, heads), length
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.out = nn.Linear(width, 4 * width), nn.Linear(width, width)
        self.distance_bias = positions(length, heads)  # [N, heads]
        self.time_bias = TimeBias(heads) if times else None
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        """Return `[B, L, D]` for values `[B, L, D]`."""
        gate, value, query, key = F.silu(self.project(self.before(x))).chunk(4, -1)
        query, key, value = (by_head(t, self.heads) for t in (query, key, value))
        distance = steps.distance().clamp(max=self.length - 1)  # beyond it nothing is allowed
        bias = F.embedding(distance, self.distance_bias).permute(2, 0, 1)  # [heads, L, L]
        if self.time_bias is not None:
            bias = bias + self.time_bias(steps.needed_times())  # [B, heads, L, L]
        weights = F.silu(query @ key.transpose(2, 3) + bias) / self.length
        weights = weights.masked_fill(~steps.allowed.unsqueeze(1), 0.0)
        found = (weights @ value).transpose(1, 2).flatten(2)  # [B, L, D]
        return x + self.drop(self.out(self.between(found) * gate))
