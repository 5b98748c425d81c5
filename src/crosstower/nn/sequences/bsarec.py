"""BSARec: attention mixed with a frequency filter (Shin et al., AAAI 2024, arXiv 2312.10325).

Shapes: see `crosstower.data.layout`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.nn.sequences.attention import CausalAttention, FeedForward, positions
from crosstower.nn.sequences.registry import register_sequence
from crosstower.nn.sequences.steps import Steps


@register_sequence("bsarec")
class Bsarec(nn.Module):
    """Learnt positions, and post-norm blocks of attention mixed with a frequency filter.

    x₀ = dropout(LN(√D e + p)), x = block(x). A block is
    h = a LN(x + dropout(filter(x))) + (1 - a) LN(x + dropout(MHA(x))),
    out = LN(h + dropout(FFN(h))), with GELU in the feed-forward layer.

    The paper filters the whole row, so that a value reads later ones. Here the filter of each
    position is that of the row which ends there, as if later values did not exist yet, and padding
    is not part of it. For the newest position of the first block both are the same.

    >>> import torch
    >>> encode = Bsarec(8, length=5, dropout=0.1)
    >>> present = torch.tensor([[True, True, False], [True, True, True]])
    >>> encode(torch.ones(2, 3, 8), Steps.of(present)).shape
    torch.Size([2, 3, 8])

    Args:
        width: D.
        length: largest L.
        dropout: of the input, the attention weights and the output of each layer.
        blocks: number of blocks.
        heads: of the attention, a divisor of D.
        alpha: a, the share of the filter, in [0, 1].
        cutoff: the paper's c; the filter passes the lowest c // 2 + 1 frequencies.

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
        alpha: float = 0.7,
        cutoff: int = 5,
    ) -> None:
        super().__init__()
        self.position = positions(length, width)
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            BsarecBlock(width, length, heads, dropout=dropout, alpha=alpha, cutoff=cutoff)
            for _ in range(blocks)
        )

    def forward(self, rows: Tensor, steps: Steps) -> Tensor:
        """Return `[B, L, D]` for embeddings `[B, L, D]`."""
        x = rows * rows.shape[-1] ** 0.5 + F.embedding(steps.place, self.position)
        x = self.drop(self.norm(x))
        for block in self.blocks:
            x = block(x, steps)
        return x


class BsarecBlock(nn.Module):
    """A filter and attention in parallel, mixed by alpha, and a feed-forward layer, as in `Bsarec`.

    Args:
        width: D.
        length: largest L, the period of the filter.
        heads: of the attention, a divisor of D.
        dropout: of the attention weights and the output of each layer.
        alpha: a, the share of the filter.
        cutoff: the paper's c.

    """

    def __init__(
        self, width: int, length: int, heads: int, *, dropout: float, alpha: float, cutoff: int
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.filter = FrequencyFilter(width, length, cutoff)
        self.attention = CausalAttention(width, heads, dropout=dropout)
        self.feed_forward = FeedForward(width, nn.GELU())
        self.after_filter, self.after_attention, self.after = (
            nn.LayerNorm(width) for _ in range(3)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        """Return `[B, L, D]` for values `[B, L, D]`."""
        filtered = self.after_filter(x + self.drop(self.filter(x, steps)))
        attended = self.after_attention(x + self.drop(self.attention(x, steps)))
        h = self.alpha * filtered + (1 - self.alpha) * attended
        return self.after(h + self.drop(self.feed_forward(h)))


class FrequencyFilter(nn.Module):
    """low + β² (x - low): a low-pass filter, and the rest by a learned factor β² per dimension.

    The low-pass filter of a row of N values keeps its lowest c // 2 + 1 frequencies. At the last
    value this is Σ_d k_d x_{n-d} with k_d = (1 / N) Σ_f w_f cos(2π f d / N) over these frequencies
    f, where w_f is 1 for f = 0 and f = N / 2, and 2 for others. N is the largest length.

    Args:
        width: D.
        length: N.
        cutoff: c.

    """

    kernel: Tensor

    def __init__(self, width: int, length: int, cutoff: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.randn(width))
        self.register_buffer("kernel", low_pass(length, cutoff), persistent=False)

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        """Return `[B, L, D]` for values `[B, L, D]`."""
        distance = steps.distance().clamp(max=len(self.kernel) - 1)  # beyond it nothing is allowed
        weights = torch.where(steps.allowed, self.kernel[distance], 0.0)  # [B, L, L]
        low = weights.to(x.dtype) @ x
        return low + self.beta.square() * (x - low)


def low_pass(length: int, cutoff: int) -> Tensor:
    """Return the weights `[N]` of a low-pass filter by distance in steps.

    >>> low_pass(4, 1)  # only frequency 0: the mean of the row
    tensor([0.2500, 0.2500, 0.2500, 0.2500])

    Args:
        length: N.
        cutoff: the paper's c.

    """
    kept = range(min(cutoff // 2 + 1, length // 2 + 1))
    kernel = [
        sum(
            (1 if f == 0 or 2 * f == length else 2) * math.cos(2 * math.pi * f * d / length)
            for f in kept
        )
        / length
        for d in range(length)
    ]
    return torch.tensor(kernel)
