"""What every task has for itself: a few dense layers and a logit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crosstower.batch import Batch
from crosstower.nn.mlp import MLP
from crosstower.nn.wide import WideLinear


class TaskTowers(nn.Module):
    """A tower a task, each with an input `[B, H]` of its own; a wide side adds to their logits.

    Args:
        width: H.
        hidden: widths of the dense layers of each tower; none leaves a linear layer.
        tasks: T.
        dropout: within the towers.
        wide: linear side with T outputs, if there is one.

    """

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        *,
        tasks: int,
        dropout: float,
        wide: WideLinear | None = None,
    ) -> None:
        super().__init__()
        self.towers = nn.ModuleList([MLP(width, hidden, dropout=dropout) for _ in range(tasks)])
        last = hidden[-1] if hidden else width
        self.heads = nn.ModuleList([nn.Linear(last, 1) for _ in range(tasks)])
        self.wide = wide

    def forward(self, inputs: Sequence[Tensor], batch: Batch) -> Tensor:
        """Return logits `[B, T]` for one `[B, H]` a task; the wide side reads the batch itself."""
        parts = zip(inputs, self.towers, self.heads, strict=True)
        logits = torch.cat([head(tower(x)) for x, tower, head in parts], dim=1)  # [B, T]
        if self.wide is None:
            return logits
        return logits + self.wide(batch.codes, batch.numbers, batch.lists)
