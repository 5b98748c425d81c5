"""DeepFM: a factorisation machine next to an MLP (Guo et al. 2017, arXiv 1703.04247)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.fields import FieldInput
from crosstower.nn.inputs import by_head
from crosstower.nn.mlp import MLP
from crosstower.nn.pairs import factorised_pairs
from crosstower.nn.wide import wide_side
from crosstower.recipe.frozen import FrozenModel


@register_model("deepfm")
class DeepFM(nn.Module):
    """DeepFM: a factorisation machine and an MLP that share their embeddings.

    Guo et al. 2017, equations 1 to 4: logit = ⟨w, x⟩ + Σ_{i<j} ⟨e_i, e_j⟩ + MLP([e_1, …, e_F]). The
    linear part is the wide side of Wide & Deep, with its crosses and its optimiser. With several
    tasks, each weights the D summands of the second order by weights of its own, which start at 1.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = DeepFM(layout, DeepFM.Config(hidden=(16,)))
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
        """Options of DeepFM."""

        embedding_dim: int = Field(default=16, ge=1, description="D of all fields.")
        hidden: tuple[int, ...] = Field(
            default=(128, 64), min_length=1, description="Widths of the dense layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="After each dense layer.")
        wide_columns: tuple[str, ...] | None = Field(
            default=None,
            description="Columns of the linear part; all coded ones and crosses if unset.",
        )
        wide_numbers: bool = Field(
            default=True, description="Whether the linear part reads numbers."
        )

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout, tasks = layout, len(layout.heads)
        self.wide = wide_side(layout, columns=config.wide_columns, with_numbers=config.wide_numbers)
        self.input = FieldInput(layout, dim=config.embedding_dim)
        ones = torch.ones(config.embedding_dim, tasks)
        if tasks > 1:
            self.factors = nn.Parameter(ones)
        else:
            self.register_buffer("factors", ones, persistent=False)
        self.mlp = MLP(self.input.output_width, config.hidden, dropout=config.dropout)
        self.head = nn.Linear(self.mlp.output_width, tasks, bias=False)  # the wide side has it

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        fields = self.input(batch.codes, batch.numbers, batch.lists)  # [B, F, D]
        linear = self.wide(batch.codes, batch.numbers, batch.lists)  # [B, T]
        pairs = factorised_pairs(fields).unsqueeze(2)  # [B, D, 1]
        second = (pairs * self.factors).sum(1)  # [B, T]; not a product, which autocast would round
        deep = self.head(self.mlp(fields.flatten(1)))
        return by_head(self.layout, linear + second + deep)
