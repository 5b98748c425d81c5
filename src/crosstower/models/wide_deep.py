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
    """Wide & Deep: a linear side that memorises crosses, and an MLP that generalises.

    Cheng et al. 2016, equation 3: logit = w_wide · [x, φ(x)] + w_deep · a_last + b.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = WideDeep(layout, WideDeep.Config(hidden=(16,), wide_columns=("user_id",)))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    Raises:
        RecipeError: `wide_columns` names a column that is not coded.

    """

    class Config(FrozenModel):
        """Options of Wide & Deep."""

        embedding_dim: int = Field(
            default=16, ge=1, description="D of columns that do not set their own `dim`."
        )
        hidden: tuple[int, ...] = Field(
            default=(128, 64), min_length=1, description="Widths of the dense layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="After each dense layer.")
        combine: Literal["sum", "concat"] = Field(
            default="sum",
            description="sum adds wide and deep logits; concat puts a linear layer over the wide"
            " logits and the last hidden layer.",
        )
        wide_columns: tuple[str, ...] | None = Field(
            default=None,
            description="Columns of the wide side; all coded ones and crosses if unset.",
        )
        wide_numbers: bool = Field(default=True, description="Whether the wide side reads numbers.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.wide = wide_side(layout, columns=config.wide_columns, with_numbers=config.wide_numbers)
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.mlp = MLP(self.input.output_width, config.hidden, dropout=config.dropout)
        combine = _Sum if config.combine == "sum" else _Concat
        self.combine = combine(self.mlp.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
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
        with torch.no_grad():  # pass the wide logits through at first, so that both sides learn
            self.head.weight[:, :heads] = torch.eye(heads)

    def forward(self, wide: Tensor, deep: Tensor) -> Tensor:
        return self.head(torch.cat([wide, deep], dim=1))
