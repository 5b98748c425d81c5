"""A stack of blocks over a history with learned positions, as SASRec and HSTU have it."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.nn.sequences.attention import positions
from crosstower.nn.sequences.steps import Steps


class Stack(nn.Module):
    """x₀ = dropout(√D e + p), x = block(x, steps), out = LN(x).

    p is the embedding of the position in the history, counted from the oldest value.

    >>> import torch
    >>> stack = Stack(8, 5, nn.Identity, blocks=0, dropout=0.1)
    >>> stack(torch.ones(2, 3, 8), Steps.of(torch.ones(2, 3, dtype=torch.bool))).shape
    torch.Size([2, 3, 8])

    Args:
        width: D.
        length: largest L.
        block: makes a block, which takes values `[B, L, D]` and `Steps` and returns new values.
        blocks: number of blocks.
        dropout: of the input.

    """

    def __init__(
        self,
        width: int,
        length: int,
        block: Callable[[], nn.Module],
        *,
        blocks: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.position = positions(length, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(block() for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, rows: Tensor, steps: Steps) -> Tensor:
        """Return `[B, L, D]` for embeddings `[B, L, D]`."""
        x = self.placed(rows, steps.place)
        for block in self.blocks:
            x = block(x, steps)
        return self.norm(x)

    def placed(self, rows: Tensor, place: Tensor) -> Tensor:
        """Return x₀ `[..., D]` for embeddings `[..., D]` at positions `[...]`."""
        return self.drop(rows * rows.shape[-1] ** 0.5 + F.embedding(place, self.position))
