"""Cross layers together with an MLP: the body of DCN-V2 (Wang et al. 2021, figure 1)."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from crosstower.nn.cross import CrossFull, CrossLowRank, CrossMixture, CrossNetwork
from crosstower.nn.mlp import MLP
from crosstower.recipe.frozen import FrozenModel


class CrossOptions(FrozenModel):
    """How features are crossed, and what stands beside or on top of the crosses."""

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


def deep_cross(width: int, options: CrossOptions) -> Stacked | Parallel | StackedWithInput:
    """Return the body for inputs `[B, width]`; it says its `output_width`."""
    cross = CrossNetwork([_cross_layer(width, options) for _ in range(options.cross_layers)])
    return _STRUCTURES[options.structure](cross, width, options.hidden, options.dropout)


class Stacked(nn.Module):
    """MLP(cross(x0))."""

    def __init__(
        self, cross: CrossNetwork, width: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.cross, self.mlp = cross, MLP(width, hidden, dropout=dropout)
        self.output_width = self.mlp.output_width

    def forward(self, x0: Tensor) -> Tensor:
        """Return `[B, output_width]` for x0 `[B, W]`."""
        return self.mlp(self.cross(x0))


class Parallel(nn.Module):
    """[cross(x0), MLP(x0)]."""

    def __init__(
        self, cross: CrossNetwork, width: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.cross, self.mlp = cross, MLP(width, hidden, dropout=dropout)
        self.output_width = width + self.mlp.output_width

    def forward(self, x0: Tensor) -> Tensor:
        """Return `[B, output_width]` for x0 `[B, W]`."""
        return torch.cat([self.cross(x0), self.mlp(x0)], dim=1)


class StackedWithInput(nn.Module):
    """MLP([cross(x0), x0])."""

    def __init__(
        self, cross: CrossNetwork, width: int, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.cross, self.mlp = cross, MLP(2 * width, hidden, dropout=dropout)
        self.output_width = self.mlp.output_width

    def forward(self, x0: Tensor) -> Tensor:
        """Return `[B, output_width]` for x0 `[B, W]`."""
        return self.mlp(torch.cat([self.cross(x0), x0], dim=1))


_STRUCTURES = {
    "stacked": Stacked,
    "parallel": Parallel,
    "stacked_with_input": StackedWithInput,
}


def _cross_layer(width: int, options: CrossOptions) -> nn.Module:
    match options.cross:
        case "full":
            return CrossFull(width)
        case "low_rank":
            return CrossLowRank(width, rank=options.rank)
        case "mixture":
            return CrossMixture(width, experts=options.experts, rank=options.rank)
