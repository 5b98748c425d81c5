"""A multi-layer perceptron over embeddings and numbers: the deep baseline."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.mlp import MLP
from crosstower.recipe.frozen import FrozenModel


@register_model("mlp")
class PlainMLP(nn.Module):
    """MLP over embeddings and numbers, with one linear head per task.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = PlainMLP(layout, PlainMLP.Config(hidden=(16,)))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    """

    class Config(FrozenModel):
        """Options of the MLP."""

        embedding_dim: int = Field(
            default=16, ge=1, description="D of columns that do not set their own `dim`."
        )
        hidden: tuple[int, ...] = Field(
            default=(128, 64), min_length=1, description="Widths of the dense layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="After each dense layer.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.mlp = MLP(self.input.output_width, config.hidden, dropout=config.dropout)
        self.head = nn.Linear(self.mlp.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        x = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        return by_head(self.layout, self.head(self.mlp(x)))
