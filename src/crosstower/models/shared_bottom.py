"""Shared bottom: one trunk for all tasks and a tower per task (Caruana 1997)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.task_towers import TaskTowers
from crosstower.nn.trunks import MLPTrunk, Trunk, build_trunk
from crosstower.recipe.frozen import FrozenModel


@register_model("shared_bottom")
class SharedBottom(nn.Module):
    """Shared bottom: one trunk for all tasks and a tower per task (Caruana 1997).

    With one task it is that task's single-task model.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"), ct.Head("like", "binary")),
    ... )
    >>> model = SharedBottom(layout, SharedBottom.Config(tower_hidden=(8,)))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 2))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2]), 'like': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    """

    class Config(FrozenModel):
        """Options of the shared-bottom model."""

        embedding_dim: int = Field(
            default=16, ge=1, description="D of columns that do not set their own `dim`."
        )
        trunk: Trunk = Field(
            default_factory=MLPTrunk,
            description="Trunk, or only its name: mlp, dcn_v2 or wide_deep.",
        )
        tower_hidden: tuple[int, ...] = Field(
            default=(32,), description="Widths of each tower's dense layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="Within the towers.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.trunk = build_trunk(config.trunk, self.input.output_width)
        self.towers = TaskTowers(
            layout,
            config.trunk,
            width=self.trunk.output_width,
            hidden=config.tower_hidden,
            dropout=config.dropout,
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        shared = self.trunk(x0)  # [B, H]
        return by_head(self.layout, self.towers([shared] * len(self.layout.heads), batch))
