"""Logistic regression: the baseline for every other model."""

from __future__ import annotations

from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.inputs import by_head
from crosstower.nn.wide import WideLinear
from crosstower.recipe.frozen import FrozenModel


@register_model("logistic_regression")
class LogisticRegression(nn.Module):
    """Logistic regression: one weight per value and per number.

    It has no embeddings, and of the crosses only those with a `dim`.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = LogisticRegression(layout, LogisticRegression.Config())
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    """

    class Config(FrozenModel):
        """Logistic regression has no options."""

    def __init__(self, layout: Layout, config: Config) -> None:  # noqa: ARG002 - as every model
        super().__init__()
        self.layout = layout
        plain = [(i, f) for i, f in enumerate(layout.codes) if f.dim != 0]
        self.wide = WideLinear(
            plain, layout.lists, numbers=len(layout.numbers), heads=len(layout.heads)
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        return by_head(self.layout, self.wide(batch.codes, batch.numbers, batch.lists))
