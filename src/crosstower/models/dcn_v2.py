"""DCN-V2: deep and cross network (Wang et al. 2021, arXiv 2008.13535)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.errors import RecipeError
from crosstower.models.registry import register_model
from crosstower.nn.deep_cross import CrossOptions, deep_cross
from crosstower.nn.inputs import DenseInput, by_head


@register_model("dcn_v2")
class DCNv2(nn.Module):
    """DCN-V2: explicit feature crosses of bounded degree, in parallel with an MLP or below it.

    Wang et al. 2021, figure 1. The cross of layer l is x_{l+1} = x0 ⊙ (W_l x_l + b_l) + x_l, so L
    layers reach degree L + 1. With `numbers_hidden` and `structure: stacked` it is the DLRM-DCNv2
    of MLPerf.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = DCNv2(layout, DCNv2.Config(cross_layers=2, hidden=(16,)))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    Raises:
        RecipeError: `numbers_hidden` is given, but the layout has no numbers.

    """

    class Config(CrossOptions):
        """Options of DCN-V2."""

        embedding_dim: int = Field(
            default=16, ge=1, description="D of columns that do not set their own `dim`."
        )
        numbers_hidden: tuple[int, ...] = Field(
            default=(),
            description="Widths of dense layers over the numbers, below the crosses, as in DLRM.",
        )

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        if config.numbers_hidden and not layout.numbers:
            raise RecipeError(
                f"model.numbers_hidden: {list(config.numbers_hidden)} given, but the schema has no"
                " numeric column; remove the key, or add a numeric column"
            )
        self.layout = layout
        self.input = DenseInput(
            layout, dim=config.embedding_dim, numbers_hidden=config.numbers_hidden
        )
        self.body = deep_cross(self.input.output_width, config)
        self.head = nn.Linear(self.body.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        return by_head(self.layout, self.head(self.body(x0)))
