"""Shared bottom: one trunk for all tasks, a tower for each (Caruana 1997)."""

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
    """All tasks read the same trunk; with one task it is that task's model alone."""

    class Config(FrozenModel):
        """Options of the shared-bottom model."""

        embedding_dim: int = Field(default=16, ge=1)
        trunk: Trunk = MLPTrunk()
        tower_hidden: tuple[int, ...] = (32,)
        dropout: float = Field(default=0.1, ge=0, lt=1, description="Of the towers.")

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
        """Return {head: logits `[B]`}."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        shared = self.trunk(x0)  # [B, H]
        return by_head(self.layout, self.towers([shared] * len(self.layout.heads), batch))
