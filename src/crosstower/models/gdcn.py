"""GDCN: gated deep and cross network (Wang et al. 2023, CIKM, arXiv 2311.04635)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.deep_cross import CrossOptions, deep_cross
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.recipe.frozen import FrozenModel


@register_model("gdcn")
class GDCN(nn.Module):
    """GDCN: crosses behind gates, so that more layers do not add more noise.

    Wang et al. 2023, section 4: cross layers x_{l+1} = x0 ⊙ (W_l x_l + b_l) ⊙ σ(V_l x_l) + x_l,
    in parallel with an MLP (GDCN-P) or below it (GDCN-S). The paper's field-level dimensions are
    the `dim` of columns here; it derives them from a trained model.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = GDCN(layout, GDCN.Config(cross_layers=2, hidden=(16,)))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    """

    class Config(FrozenModel):
        """Options of GDCN."""

        embedding_dim: int = Field(
            default=16, ge=1, description="D of columns that do not set their own `dim`."
        )
        cross_layers: int = Field(default=3, ge=1, description="Number of gated cross layers.")
        structure: Literal["parallel", "stacked"] = Field(
            default="parallel",
            description="parallel: [cross(x0), MLP(x0)]; stacked: MLP(cross(x0)).",
        )
        hidden: tuple[int, ...] = Field(
            default=(128, 64), min_length=1, description="Widths of the MLP's layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="After each layer of the MLP.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=config.embedding_dim)
        options = CrossOptions(
            cross="gated",
            cross_layers=config.cross_layers,
            structure=config.structure,
            hidden=config.hidden,
            dropout=config.dropout,
        )
        self.body = deep_cross(self.input.output_width, options)
        self.head = nn.Linear(self.body.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        return by_head(self.layout, self.head(self.body(x0)))
