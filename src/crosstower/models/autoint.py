"""AutoInt: self-attention over fields (Song et al. 2019, arXiv 1810.11921)."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.field_attention import FieldAttention
from crosstower.nn.fields import FieldInput
from crosstower.nn.inputs import by_head
from crosstower.nn.mlp import MLP
from crosstower.recipe.frozen import FrozenModel


@register_model("autoint")
class AutoInt(nn.Module):
    """AutoInt: layers of self-attention, in which each field collects the fields it goes with.

    Song et al. 2019, section 4; see `FieldAttention`. With `hidden` it is AutoInt+ of section 5.5,
    which adds the logit of an MLP over the same embeddings.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = AutoInt(layout, AutoInt.Config(attention_layers=1, hidden=()))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    Raises:
        RecipeError: from `Config`: `attention_heads` does not divide `attention_width`.

    """

    class Config(FrozenModel):
        """Options of AutoInt."""

        space: ClassVar[dict[str, Any]] = {"attention_layers": {"low": 1, "high": 3}}

        embedding_dim: int = Field(default=16, ge=1, description="D of all fields.")
        attention_layers: int = Field(default=2, ge=1, description="Number of attention layers.")
        attention_width: int = Field(
            default=32, ge=1, description="Width of a field after attention, all heads together."
        )
        attention_heads: int = Field(default=2, ge=1, description="Divides attention_width.")
        hidden: tuple[int, ...] = Field(
            default=(128, 64), description="Widths of the MLP of AutoInt+; none omits the MLP."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="After each dense layer.")

        @model_validator(mode="after")
        def _heads_divide_the_width(self) -> Self:
            if self.attention_width % self.attention_heads:
                raise ValueError(
                    f"attention_heads: expected a divisor of attention_width"
                    f" {self.attention_width}, got {self.attention_heads}"
                )
            return self

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout, width = layout, config.attention_width
        self.input = FieldInput(layout, dim=config.embedding_dim)
        dims = (config.embedding_dim, *[width] * (config.attention_layers - 1))
        self.attention = nn.Sequential(
            *(FieldAttention(dim, width=width, heads=config.attention_heads) for dim in dims)
        )
        hidden, dropout = config.hidden, config.dropout
        self.mlp = MLP(self.input.output_width, hidden, dropout=dropout) if hidden else None
        attended = len(self.input.names) * width
        deep = self.mlp.output_width if self.mlp else 0
        self.head = nn.Linear(attended + deep, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        fields = self.input(batch.codes, batch.numbers, batch.lists)  # [B, F, D]
        parts = [self.attention(fields).flatten(1)]
        if self.mlp is not None:
            parts.append(self.mlp(fields.flatten(1)))
        return by_head(self.layout, self.head(torch.cat(parts, dim=1)))
