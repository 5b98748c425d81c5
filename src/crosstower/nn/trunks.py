"""Trunks of multi-task models: the layers between the input and the task towers.

A trunk maps the dense input `[B, W]` to `[B, output_width]`. A Wide & Deep trunk also has a linear
side, which adds to the logits of every task.
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
    """Options of a trunk of dense layers.

    >>> MLPTrunk(hidden=(32,)).dropout
    0.1

    Raises:
        RecipeError: an option is out of range.

    """

    name: Literal["mlp"] = Field(default="mlp", description="mlp.")
    hidden: tuple[int, ...] = Field(
        default=(128, 64), min_length=1, description="Widths of the dense layers."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After each dense layer.")


class DeepCrossTrunk(CrossOptions):
    """Options of a trunk of cross and dense layers, as in DCN-V2; see `CrossOptions`.

    >>> DeepCrossTrunk(cross="low_rank", rank=8).name
    'dcn_v2'
    """

    name: Literal["dcn_v2"] = Field(default="dcn_v2", description="dcn_v2.")


class WideDeepTrunk(FrozenModel):
    """Options of a trunk of dense layers, with one linear side that all tasks share.

    >>> WideDeepTrunk(wide_columns=["city"]).wide_columns
    ('city',)

    Raises:
        RecipeError: an option is out of range.

    """

    name: Literal["wide_deep"] = Field(default="wide_deep", description="wide_deep.")
    hidden: tuple[int, ...] = Field(
        default=(128, 64), min_length=1, description="Widths of the dense layers."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After each dense layer.")
    wide_columns: tuple[str, ...] | None = Field(
        default=None, description="Columns of the wide side; all coded ones and crosses if unset."
    )
    wide_numbers: bool = Field(default=True, description="Whether the wide side reads numbers.")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Trunk = Annotated[
    Annotated[MLPTrunk | DeepCrossTrunk | WideDeepTrunk, Field(discriminator="name")],
    BeforeValidator(_named),
]
"""Options of a trunk; a bare name uses the defaults."""


def build_trunk(trunk: Trunk, width: int) -> MLP | Stacked | Parallel | StackedWithInput:
    """Return a new trunk, whose `output_width` is the width of its output.

    >>> build_trunk(MLPTrunk(hidden=(32, 16)), width=8).output_width
    16

    Args:
        trunk: options.
        width: W of the inputs `[B, W]`.

    """
    if isinstance(trunk, DeepCrossTrunk):
        return deep_cross(width, trunk)
    return MLP(width, trunk.hidden, dropout=trunk.dropout)


def build_wide(trunk: Trunk, layout: Layout) -> WideLinear | None:
    """Return the linear side of a Wide & Deep trunk; None for other trunks."""
    if not isinstance(trunk, WideDeepTrunk):
        return None
    return wide_side(layout, columns=trunk.wide_columns, with_numbers=trunk.wide_numbers)


def build_trunks(trunk: Trunk, width: int, count: int) -> nn.ModuleList:
    """Return `count` trunks with separate weights."""
    return nn.ModuleList([build_trunk(trunk, width) for _ in range(count)])
