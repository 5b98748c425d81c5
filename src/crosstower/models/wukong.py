"""Wukong: stacked factorisation machines (Zhang et al. 2024, ICML, arXiv 2403.02545)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.fields import FieldInput
from crosstower.nn.inputs import by_head
from crosstower.nn.mlp import MLP
from crosstower.nn.wukong_layer import WukongLayer
from crosstower.recipe.frozen import FrozenModel


@register_model("wukong")
class Wukong(nn.Module):
    """Wukong: layers of factorisation machines and linear combinations, below an MLP.

    Zhang et al. 2024, section 3. Layer by layer, the degree of the interactions doubles; see
    `WukongLayer`. The paper scales all its widths together.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = Wukong(layout, Wukong.Config(layers=2, hidden=(16,)))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    """

    class Config(FrozenModel):
        """Options of Wukong."""

        space: ClassVar[dict[str, Any]] = {
            "layers": {"low": 1, "high": 4},
            "machine_fields": [4, 8, 16],
            "linear_fields": [4, 8, 16],
            "rank": [4, 8, 16],
        }

        embedding_dim: int = Field(default=16, ge=1, description="D of all fields.")
        layers: int = Field(default=2, ge=1, description="Number of Wukong layers.")
        machine_fields: int = Field(
            default=8, ge=1, description="Output fields of a layer's factorisation machines."
        )
        linear_fields: int = Field(
            default=8, ge=1, description="Output fields of a layer's linear compression."
        )
        rank: int = Field(default=8, ge=1, description="Products per field that the machines keep.")
        machine_hidden: tuple[int, ...] = Field(
            default=(64,), description="Widths of dense layers within the machines."
        )
        hidden: tuple[int, ...] = Field(
            default=(128, 64), min_length=1, description="Widths of the MLP above the layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="After each dense layer.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout, dim = layout, config.embedding_dim
        self.input = FieldInput(layout, dim=dim)
        layer = partial(
            WukongLayer,
            dim=dim,
            machine_fields=config.machine_fields,
            linear_fields=config.linear_fields,
            rank=config.rank,
            hidden=config.machine_hidden,
            dropout=config.dropout,
        )
        fields = config.machine_fields + config.linear_fields
        inputs = (len(self.input.names), *[fields] * (config.layers - 1))
        self.layers = nn.Sequential(*(layer(count) for count in inputs))
        self.mlp = MLP(fields * dim, config.hidden, dropout=config.dropout)
        self.head = nn.Linear(self.mlp.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        fields = self.input(batch.codes, batch.numbers, batch.lists)  # [B, F, D]
        interactions = self.layers(fields).flatten(1)
        return by_head(self.layout, self.head(self.mlp(interactions)))
