"""Cross layers combined with an MLP: the body of DCN-V2 (Wang et al. 2021, figure 1)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from crosstower.nn.cross import (
    CrossFull,
    CrossGated,
    CrossLowRank,
    CrossMixture,
    CrossNetwork,
)
from crosstower.nn.mlp import MLP
from crosstower.recipe.frozen import FrozenModel


class CrossOptions(FrozenModel):
    """Options of cross layers and of the MLP combined with them.

    >>> CrossOptions(cross="low_rank", rank=16).cross_layers
    2

    Raises:
        RecipeError: an option is out of range, or has no effect with this `cross`.

    """

    cross: Literal["full", "low_rank", "mixture", "gated"] = Field(
        default="full", description="Form of a cross layer; see `CrossFull` and its siblings."
    )
    cross_layers: int = Field(default=2, ge=1, description="Number of cross layers.")
    rank: int | None = Field(
        default=None,
        ge=1,
        description="Rank of a low_rank or mixture cross; a quarter of the width if unset.",
    )
    experts: int = Field(default=4, ge=1, description="Number of experts of a mixture.")
    structure: Literal["stacked", "parallel", "stacked_with_input"] = Field(
        default="parallel",
        description="parallel: [cross(x0), MLP(x0)]; stacked: MLP(cross(x0)); stacked_with_input:"
        " MLP([cross(x0), x0]).",
    )
    hidden: tuple[int, ...] = Field(
        default=(128, 64), min_length=1, description="Widths of the MLP's layers."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After each layer of the MLP.")

    @model_validator(mode="after")
    def _options_mean_something(self) -> Self:
        if self.rank is not None and self.cross not in ("low_rank", "mixture"):
            raise ValueError("rank needs cross: low_rank or mixture")
        if "experts" in self.model_fields_set and self.cross != "mixture":
            raise ValueError("experts needs cross: mixture")
        return self


def deep_cross(width: int, options: CrossOptions) -> Stacked | Parallel | StackedWithInput:
    """Return a new body, whose `output_width` is the width of its output.

    >>> import torch
    >>> body = deep_cross(8, CrossOptions(hidden=(4,), structure="parallel"))
    >>> body(torch.ones(2, 8)).shape, body.output_width
    (torch.Size([2, 12]), 12)

    Args:
        width: W of the inputs `[B, W]`.
        options: of the cross layers and the MLP.

    """
    rank = options.rank
    layer: Callable[[], nn.Module] = {
        "full": partial(CrossFull, width),
        "low_rank": partial(CrossLowRank, width, rank=rank),
        "mixture": partial(CrossMixture, width, experts=options.experts, rank=rank),
        "gated": partial(CrossGated, width),
    }[options.cross]
    cross = CrossNetwork([layer() for _ in range(options.cross_layers)])
    return _STRUCTURES[options.structure](cross, width, options.hidden, options.dropout)


class Stacked(nn.Module):
    """A cross network below an MLP: MLP(cross(x0)).

    >>> import torch
    >>> from crosstower.nn import CrossFull, CrossNetwork
    >>> body = Stacked(CrossNetwork([CrossFull(8)]), 8, hidden=(4,), dropout=0.0)
    >>> body(torch.ones(2, 8)).shape
    torch.Size([2, 4])

    Args:
        cross: cross network of width W.
        width: W.
        hidden: widths of the MLP's layers.
        dropout: after each layer of the MLP.

    """

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
    """A cross network in parallel with an MLP: [cross(x0), MLP(x0)].

    >>> import torch
    >>> from crosstower.nn import CrossFull, CrossNetwork
    >>> body = Parallel(CrossNetwork([CrossFull(8)]), 8, hidden=(4,), dropout=0.0)
    >>> body(torch.ones(2, 8)).shape
    torch.Size([2, 12])

    Args:
        cross: cross network of width W.
        width: W.
        hidden: widths of the MLP's layers.
        dropout: after each layer of the MLP.

    """

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
    """A cross network and its input below an MLP: MLP([cross(x0), x0]).

    >>> import torch
    >>> from crosstower.nn import CrossFull, CrossNetwork
    >>> body = StackedWithInput(CrossNetwork([CrossFull(8)]), 8, hidden=(4,), dropout=0.0)
    >>> body(torch.ones(2, 8)).shape
    torch.Size([2, 4])

    Args:
        cross: cross network of width W.
        width: W.
        hidden: widths of the MLP's layers.
        dropout: after each layer of the MLP.

    """

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
