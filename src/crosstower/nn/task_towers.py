"""Task towers: dense layers and a logit per task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.nn.mlp import MLP
from crosstower.nn.trunks import Trunk, build_wide


class TaskTowers(nn.Module):
    """One tower per task, each with its own input `[B, H]`; a wide side adds to their logits.

    >>> import torch, crosstower as ct
    >>> heads = (ct.Head("click", "binary"), ct.Head("like", "binary"))
    >>> layout = ct.Layout(codes=(), numbers=("age",), lists=(), heads=heads)
    >>> towers = TaskTowers(layout, ct.nn.MLPTrunk(), width=8, hidden=(4,), dropout=0.0)
    >>> batch = ct.Batch(torch.zeros(5, 0), torch.zeros(5, 1), {}, torch.zeros(5, 2))
    >>> towers([torch.ones(5, 8)] * 2, batch).shape
    torch.Size([5, 2])

    Args:
        layout: with T heads.
        trunk: options of the model's trunk; a Wide & Deep trunk adds the wide side.
        width: H.
        hidden: widths of each tower's dense layers; none makes a tower linear.
        dropout: after each dense layer, in [0, 1).

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
        """Return logits `[B, T]`.

        Args:
            inputs: T tensors `[B, H]`, one per task.
            batch: encoded rows, for the wide side.

        """
        parts = zip(inputs, self.towers, self.heads, strict=True)
        logits = torch.cat([head(tower(x)) for x, tower, head in parts], dim=1)  # [B, T]
        if self.wide is None:
            return logits
        return logits + self.wide(batch.codes, batch.numbers, batch.lists)
