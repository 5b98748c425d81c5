"""What every task has for itself: a few dense layers and a logit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.nn.mlp import MLP
from crosstower.nn.trunks import Trunk, build_wide


class TaskTowers(nn.Module):
    """A tower a task, each with an input `[B, H]` of its own; a wide side adds to their logits.

    Args:
        layout: has T heads.
        trunk: of the model; one of Wide & Deep brings the wide side.
        width: H.
        hidden: widths of the dense layers of each tower; none leaves a linear layer.
        dropout: within the towers.

    """

    def __init__(
        self,
        layout: Layout,
        trunk: Trunk,
        *,
        width: int,
        hidden: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        tasks = len(layout.heads)
        self.towers = nn.ModuleList([MLP(width, hidden, dropout=dropout) for _ in range(tasks)])
        last = hidden[-1] if hidden else width
        self.heads = nn.ModuleList([nn.Linear(last, 1) for _ in range(tasks)])
        self.wide = build_wide(trunk, layout)

    def forward(self, inputs: Sequence[Tensor], batch: Batch) -> Tensor:
        """Return logits `[B, T]` for one `[B, H]` a task; the wide side reads the batch itself."""
        parts = zip(inputs, self.towers, self.heads, strict=True)
        logits = torch.cat([head(tower(x)) for x, tower, head in parts], dim=1)  # [B, T]
        if self.wide is None:
            return logits
        return logits + self.wide(batch.codes, batch.numbers, batch.lists)
