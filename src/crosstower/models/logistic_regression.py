"""Logistic regression: the baseline that every other model has to beat."""

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
    """One weight a value and a number; no embeddings, no crosses but those with a `dim`."""

    class Config(FrozenModel):
        """Logistic regression has no options."""

    def __init__(self, layout: Layout, config: Config) -> None:  # noqa: ARG002 - one way in
        super().__init__()
        self.layout = layout
        plain = [(i, f) for i, f in enumerate(layout.codes) if f.dim != 0]
        self.wide = WideLinear(
            plain, layout.lists, numbers=len(layout.numbers), heads=len(layout.heads)
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`}."""
        return by_head(self.layout, self.wide(batch.codes, batch.numbers, batch.lists))
