"""What a ranker learns at each step: the labels of its tasks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from crosstower.batch import Batch
from crosstower.layout import Layout
from crosstower.objectives.losses import total_loss


class PointwiseObjective:
    """The weighted sum of the losses of all heads."""

    def __init__(self, layout: Layout, weights: dict[str, float]) -> None:
        self.layout, self.weights = layout, weights

    def begin_epoch(self, model: nn.Module) -> None:
        """Do nothing: labels stay what they are."""

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a batch, in float32 whatever the model computes in."""
        full = {name: logit.float() for name, logit in model(batch).items()}
        return total_loss(full, batch.labels, self.layout.heads, self.weights)[0]

    def describe(self, batch: Any) -> list[str]:
        """Return one line a number or label column: smallest, mean and largest value."""
        return column_statistics(self.layout, batch)

    def state(self) -> dict[str, Tensor]:
        """Return nothing: there is no state."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Do nothing."""


def column_statistics(layout: Layout, batch: Batch) -> list[str]:
    """Return one line a number or label column: smallest, mean and largest value."""
    lines: list[str] = []
    named = [(n, batch.numbers[:, i]) for i, n in enumerate(layout.numbers)]
    named += [(f"label {h.name}", batch.labels[:, i]) for i, h in enumerate(layout.heads)]
    for name, values in named:
        known = values[~values.isnan()] if name.startswith("label ") else values
        if len(known):
            low, mean, high = (float(f(known)) for f in (torch.min, torch.mean, torch.max))
            lines.append(f"  {name}: min {low:.4g}, mean {mean:.4g}, max {high:.4g}")
    return lines
