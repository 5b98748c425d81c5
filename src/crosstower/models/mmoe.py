"""MMoE: multi-gate mixture of experts (Ma et al. 2018, KDD)."""

from __future__ import annotations

from functools import partial

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.experts import MultiGateMixture
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.task_towers import TaskTowers
from crosstower.nn.trunks import MLPTrunk, Trunk, build_trunk
from crosstower.recipe.frozen import FrozenModel


@register_model("mmoe")
class MMoE(nn.Module):
    """Every expert is a trunk; a gate a task mixes them for its tower."""

    class Config(FrozenModel):
        """Options of MMoE."""

        embedding_dim: int = Field(default=16, ge=1)
        trunk: Trunk = MLPTrunk()
        experts: int = Field(default=4, ge=2)
        tower_hidden: tuple[int, ...] = (32,)
        dropout: float = Field(default=0.1, ge=0, lt=1, description="Of the towers.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.mixture = MultiGateMixture(
            self.input.output_width,
            partial(build_trunk, config.trunk),
            experts=config.experts,
            tasks=len(layout.heads),
        )
        self.towers = TaskTowers(
            layout,
            config.trunk,
            width=self.mixture.output_width,
            hidden=config.tower_hidden,
            dropout=config.dropout,
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`}."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        mixed = self.mixture(x0)  # T of [B, H]
        return by_head(self.layout, self.towers(mixed, batch))
