"""A plain multi-layer perceptron over embeddings and numbers: the deep baseline."""

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
    """Embeddings and numbers, dense layers, one linear head a task."""

    class Config(FrozenModel):
        """Options of the MLP."""

        embedding_dim: int = Field(default=16, ge=1)
        hidden: tuple[int, ...] = Field(default=(128, 64), min_length=1)
        dropout: float = Field(default=0.1, ge=0, lt=1)

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.mlp = MLP(self.input.output_width, config.hidden, dropout=config.dropout)
        self.head = nn.Linear(self.mlp.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`}."""
        x = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        return by_head(self.layout, self.head(self.mlp(x)))
