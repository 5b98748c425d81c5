"""DCN-V2: deep and cross network (Wang et al. 2021, arXiv 2008.13535)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.deep_cross import CrossOptions, deep_cross
from crosstower.nn.inputs import DenseInput, by_head


@register_model("dcn_v2")
class DCNv2(nn.Module):
    """Explicit crosses of bounded degree beside, or below, an MLP (figure 1 of the paper)."""

    class Config(CrossOptions):
        """Options of DCN-V2."""

        embedding_dim: int = Field(default=16, ge=1)

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.body = deep_cross(self.input.output_width, config)
        self.head = nn.Linear(self.body.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`}."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        return by_head(self.layout, self.head(self.body(x0)))
