"""Trunks: what multi-task models put between the input and the towers of the tasks.

A trunk takes everything that a deep side reads, `[B, W]`, to `[B, output_width]`. Those of Wide &
Deep have a linear side as well, which adds to the logits of every task.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from torch import nn

from crosstower.data.layout import Layout
from crosstower.nn.deep_cross import CrossOptions, Parallel, Stacked, StackedWithInput, deep_cross
from crosstower.nn.mlp import MLP
from crosstower.nn.wide import WideLinear, wide_side
from crosstower.recipe.frozen import FrozenModel


class MLPTrunk(FrozenModel):
    """Dense layers."""

    name: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = Field(default=(128, 64), min_length=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class DeepCrossTrunk(CrossOptions):
    """Cross layers and dense layers, as in DCN-V2."""

    name: Literal["dcn_v2"] = "dcn_v2"


class WideDeepTrunk(FrozenModel):
    """Dense layers, and one linear side for all tasks."""

    name: Literal["wide_deep"] = "wide_deep"
    hidden: tuple[int, ...] = Field(default=(128, 64), min_length=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    wide_columns: tuple[str, ...] | None = Field(
        default=None, description="Columns of the wide side; all coded ones and crosses if unset."
    )
    wide_numbers: bool = Field(default=True, description="Numbers in the wide side as well.")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Trunk = Annotated[
    Annotated[MLPTrunk | DeepCrossTrunk | WideDeepTrunk, Field(discriminator="name")],
    BeforeValidator(_named),
]
"""Options of a trunk; a name alone is short for its defaults."""


def build_trunk(trunk: Trunk, width: int) -> MLP | Stacked | Parallel | StackedWithInput:
    """Return a new trunk for inputs `[B, width]`."""
    if isinstance(trunk, DeepCrossTrunk):
        return deep_cross(width, trunk)
    return MLP(width, trunk.hidden, dropout=trunk.dropout)


def build_wide(trunk: Trunk, layout: Layout) -> WideLinear | None:
    """Return the linear side of a Wide & Deep trunk, None for the others."""
    if not isinstance(trunk, WideDeepTrunk):
        return None
    return wide_side(layout, columns=trunk.wide_columns, with_numbers=trunk.wide_numbers)


def build_trunks(trunk: Trunk, width: int, count: int) -> nn.ModuleList:
    """Return `count` trunks with weights of their own."""
    return nn.ModuleList([build_trunk(trunk, width) for _ in range(count)])
