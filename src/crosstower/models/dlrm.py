"""DLRM: deep learning recommendation model (Naumov et al. 2019, arXiv 1906.00091)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.errors import RecipeError
from crosstower.models.registry import register_model
from crosstower.nn.fields import FieldInput
from crosstower.nn.inputs import as_autocast, by_head
from crosstower.nn.mlp import MLP
from crosstower.nn.pairs import DotProducts
from crosstower.recipe.frozen import FrozenModel


@register_model("dlrm")
class DLRM(nn.Module):
    """DLRM: dot products of all pairs of fields, below an MLP.

    Naumov et al. 2019, section 2: a bottom MLP maps all numbers to one field z; a top MLP reads z
    and the dot products of all pairs of fields, z included. Without numbers, it reads the dot
    products alone. For DLRM-DCNv2, see `DCNv2`.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = DLRM(layout, DLRM.Config(hidden=(16,)))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    Raises:
        RecipeError: there are no numbers and fewer than two fields, or `numbers_hidden` is given
            without numbers.

    """

    class Config(FrozenModel):
        """Options of DLRM."""

        embedding_dim: int = Field(default=16, ge=1, description="D of all fields.")
        numbers_hidden: tuple[int, ...] | None = Field(
            default=None,
            description="Widths of dense layers over the numbers; [64] if unset. A layer of"
            " embedding_dim is added unless they end with it.",
        )
        self_interaction: bool = Field(
            default=False, description="Whether the dot product of a field with itself counts."
        )
        hidden: tuple[int, ...] = Field(
            default=(128, 64), min_length=1, description="Widths of the top MLP's layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="After each dense layer.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        _check(layout, config.numbers_hidden)
        self.layout, dim = layout, config.embedding_dim
        self.input = FieldInput(layout, dim=dim, with_numbers=False)
        fields, width = len(self.input.names), 0
        self.bottom = None
        if layout.numbers:
            self.bottom = MLP(len(layout.numbers), _ending_in(dim, config.numbers_hidden))
            fields, width = fields + 1, dim
        self.dots = DotProducts(fields, with_itself=config.self_interaction)
        width += self.dots.output_width
        self.top = MLP(width, config.hidden, dropout=config.dropout)
        self.head = nn.Linear(self.top.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        fields = self.input(batch.codes, batch.numbers, batch.lists)  # [B, F, D]
        if self.bottom is None:
            return by_head(self.layout, self.head(self.top(self.dots(fields))))
        numbers = as_autocast(self.bottom(batch.numbers))  # [B, D]
        fields = torch.cat([numbers.unsqueeze(1), fields], dim=1)
        interactions = torch.cat([numbers, self.dots(fields)], dim=1)
        return by_head(self.layout, self.head(self.top(interactions)))


def _check(layout: Layout, numbers_hidden: tuple[int, ...] | None) -> None:
    if numbers_hidden is not None and not layout.numbers:
        raise RecipeError(
            f"model.numbers_hidden: {list(numbers_hidden)} given, but the schema has no numeric"
            " column; remove the key, or add a numeric column"
        )
    fields = sum(field.dim != 0 for field in layout.codes) + len(layout.lists)
    if not layout.numbers and fields < 2:
        raise RecipeError(
            f"model.name: dlrm multiplies pairs of columns, got {fields}; declare at least two"
            " columns, or use mlp"
        )


def _ending_in(dim: int, hidden: tuple[int, ...] | None) -> tuple[int, ...]:
    widths = (64,) if hidden is None else hidden
    return widths if widths[-1:] == (dim,) else (*widths, dim)
