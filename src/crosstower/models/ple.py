"""PLE: progressive layered extraction (Tang et al. 2020, RecSys); one level is CGC."""

from __future__ import annotations

from functools import partial

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.experts import ProgressiveExtraction
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.task_towers import TaskTowers
from crosstower.nn.trunks import MLPTrunk, Trunk, build_trunk
from crosstower.recipe.frozen import FrozenModel


@register_model("ple")
class PLE(nn.Module):
    """Experts of each task beside shared ones, so that tasks that disagree do not pull at both.

    Every expert is a trunk; those of a higher level read the gates of the level below.
    """

    class Config(FrozenModel):
        """Options of PLE."""

        embedding_dim: int = Field(default=16, ge=1)
        trunk: Trunk = MLPTrunk()
        specific_experts: int = Field(default=1, ge=1, description="Of each task, at each level.")
        shared_experts: int = Field(default=1, ge=1, description="Of all tasks, at each level.")
        levels: int = Field(default=1, ge=1, description="1 is CGC, customised gate control.")
        tower_hidden: tuple[int, ...] = (32,)
        dropout: float = Field(default=0.1, ge=0, lt=1, description="Of the towers.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.extraction = ProgressiveExtraction(
            self.input.output_width,
            partial(build_trunk, config.trunk),
            tasks=len(layout.heads),
            specific=config.specific_experts,
            shared=config.shared_experts,
            levels=config.levels,
        )
        self.towers = TaskTowers(
            layout,
            config.trunk,
            width=self.extraction.output_width,
            hidden=config.tower_hidden,
            dropout=config.dropout,
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`}."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        extracted = self.extraction(x0)  # T of [B, H]
        return by_head(self.layout, self.towers(extracted, batch))
