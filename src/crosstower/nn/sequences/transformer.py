"""SASRec: a causal transformer over a history (Kang & McAuley 2018, arXiv 1808.09781).

Shapes: see `crosstower.data.layout`.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from crosstower.nn.sequences.attention import CausalAttention, FeedForward
from crosstower.nn.sequences.registry import register_sequence
from crosstower.nn.sequences.stack import Stack
from crosstower.nn.sequences.steps import Steps


@register_sequence("transformer")
class Transformer(Stack):
    """A stack of pre-norm transformer blocks: learned positions, and a final normalisation.

    >>> import torch
    >>> encode = Transformer(8, length=5, dropout=0.1)
    >>> present = torch.tensor([[True, True, False], [True, True, True]])
    >>> encode(torch.ones(2, 3, 8), Steps.of(present)).shape
    torch.Size([2, 3, 8])

    Args:
        width: D.
        length: largest L.
        dropout: of the input, the attention weights and the output of each layer.
        blocks: number of blocks.
        heads: of the attention, a divisor of D.

    Raises:
        RecipeError: D is not a multiple of the heads.

    """

    def __init__(
        self, width: int, length: int, *, dropout: float, blocks: int = 2, heads: int = 1
    ) -> None:
        block = partial(TransformerBlock, width, heads, dropout=dropout)
        super().__init__(width, length, block, blocks=blocks, dropout=dropout)


class TransformerBlock(nn.Module):
    """Pre-norm block: y = x + dropout(MHA(LN(x))), out = y + dropout(FFN(LN(y))).

    Args:
        width: D.
        heads: of the attention, a divisor of D.
        dropout: of the attention weights and the output of each layer.

    """

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads, dropout=dropout)
        self.feed_forward = FeedForward(width, nn.ReLU())
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        """Return `[B, L, D]` for values `[B, L, D]`."""
        y = x + self.drop(self.attention(self.before(x), steps))
        return y + self.drop(self.feed_forward(self.between(y)))
