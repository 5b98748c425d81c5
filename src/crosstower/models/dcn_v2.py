"""DCN-V2: deep and cross network (Wang et al. 2021, arXiv 2008.13535)."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from crosstower.batch import Batch
from crosstower.frozen import Frozen
from crosstower.layout import Layout
from crosstower.models.registry import register
from crosstower.nn.cross import CrossFull, CrossLowRank, CrossMixture, CrossNetwork
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.mlp import MLP


@register("dcn_v2")
class DCNv2(nn.Module):
    """Explicit crosses of bounded degree beside, or below, an MLP (figure 1 of the paper)."""

    class Config(Frozen):
        """Options of DCN-V2."""

        embedding_dim: int = Field(default=16, ge=1)
        cross: Literal["full", "low_rank", "mixture"] = "full"
        cross_layers: int = Field(default=2, ge=1)
        rank: int | None = Field(default=None, ge=1, description="A quarter of the width if unset.")
        experts: int = Field(default=4, ge=1, description="Experts of a mixture.")
        structure: Literal["stacked", "parallel", "stacked_with_input"] = "parallel"
        hidden: tuple[int, ...] = Field(default=(128, 64), min_length=1)
        dropout: float = Field(default=0.1, ge=0, lt=1)

        @model_validator(mode="after")
        def _options_mean_something(self) -> Self:
            if self.rank is not None and self.cross == "full":
                raise ValueError("rank needs cross: low_rank or mixture")
            if "experts" in self.model_fields_set and self.cross != "mixture":
                raise ValueError("experts needs cross: mixture")
            return self

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=config.embedding_dim)
        width = self.input.output_width
        cross = CrossNetwork([_cross_layer(width, config) for _ in range(config.cross_layers)])
        self.body = _STRUCTURES[config.structure](cross, width, config.hidden, config.dropout)
        self.head = nn.Linear(self.body.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`}."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        return by_head(self.layout, self.head(self.body(x0)))


class _Stacked(nn.Module):
    """MLP(cross(x0))."""

    def __init__(
        self, cross: CrossNetwork, width: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.cross, self.mlp = cross, MLP(width, hidden, dropout=dropout)
        self.output_width = self.mlp.output_width

    def forward(self, x0: Tensor) -> Tensor:
        return self.mlp(self.cross(x0))


class _Parallel(nn.Module):
    """[cross(x0), MLP(x0)]."""

    def __init__(
        self, cross: CrossNetwork, width: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.cross, self.mlp = cross, MLP(width, hidden, dropout=dropout)
        self.output_width = width + self.mlp.output_width

    def forward(self, x0: Tensor) -> Tensor:
        return torch.cat([self.cross(x0), self.mlp(x0)], dim=1)


class _StackedWithInput(nn.Module):
    """MLP([cross(x0), x0])."""

    def __init__(
        self, cross: CrossNetwork, width: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.cross, self.mlp = cross, MLP(2 * width, hidden, dropout=dropout)
        self.output_width = self.mlp.output_width

    def forward(self, x0: Tensor) -> Tensor:
        return self.mlp(torch.cat([self.cross(x0), x0], dim=1))


_STRUCTURES = {
    "stacked": _Stacked,
    "parallel": _Parallel,
    "stacked_with_input": _StackedWithInput,
}


def _cross_layer(width: int, config: DCNv2.Config) -> nn.Module:
    match config.cross:
        case "full":
            return CrossFull(width)
        case "low_rank":
            return CrossLowRank(width, rank=config.rank)
        case "mixture":
            return CrossMixture(width, experts=config.experts, rank=config.rank)
