"""Wide & Deep (Cheng et al. 2016, arXiv 1606.07792)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.mlp import MLP
from crosstower.nn.wide import wide_side
from crosstower.recipe.frozen import FrozenModel


@register_model("wide_deep")
class WideDeep(nn.Module):
    """A linear side that memorises columns and crosses, beside an MLP that generalises.

    `combine` sum adds the two logits, as the paper's equation 3; concat puts a linear layer over
    the wide logits and the last hidden layer together.
    """

    class Config(FrozenModel):
        """Options of Wide & Deep."""

        embedding_dim: int = Field(default=16, ge=1)
        hidden: tuple[int, ...] = Field(default=(128, 64), min_length=1)
        dropout: float = Field(default=0.1, ge=0, lt=1)
        combine: Literal["sum", "concat"] = "sum"
        wide_columns: tuple[str, ...] | None = Field(
            default=None,
            description="Columns of the wide side; all coded ones and crosses if unset.",
        )
        wide_numbers: bool = Field(default=True, description="Numbers in the wide side as well.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.wide = wide_side(layout, columns=config.wide_columns, with_numbers=config.wide_numbers)
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.mlp = MLP(self.input.output_width, config.hidden, dropout=config.dropout)
        combine = _Sum if config.combine == "sum" else _Concat
        self.combine = combine(self.mlp.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`}."""
        wide = self.wide(batch.codes, batch.numbers, batch.lists)  # [B, T]
        deep = self.mlp(self.input(batch.codes, batch.numbers, batch.lists))
        return by_head(self.layout, self.combine(wide, deep))


class _Sum(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, heads, bias=False)  # the wide side has the bias

    def forward(self, wide: Tensor, deep: Tensor) -> Tensor:
        return wide + self.head(deep)


class _Concat(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.head = nn.Linear(width + heads, heads)
        with torch.no_grad():  # the wide logits pass as they are at first, so both sides learn
            self.head.weight[:, :heads] = torch.eye(heads)

    def forward(self, wide: Tensor, deep: Tensor) -> Tensor:
        return self.head(torch.cat([wide, deep], dim=1))
