"""What a ranker learns at each step: the labels of its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.losses.registry import Loss
from crosstower.losses.task_balance import Balance
from crosstower.losses.tasks import labelled_rows, task_losses


class PointwiseObjective:
    """The losses of all heads, weighed against one another by a `Balance`.

    Args:
        layout: of the model.
        balance: weighs the losses.
        losses: by head; a head without one has the loss of its kind.

    """

    def __init__(
        self, layout: Layout, balance: Balance, losses: Mapping[str, Loss] | None = None
    ) -> None:
        self.layout, self.balance, self.losses = layout, balance, losses

    def begin_epoch(self, model: nn.Module) -> None:
        """Do nothing: labels stay what they are."""

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a batch, in float32 whatever the model computes in."""
        full = {name: logit.float() for name, logit in model(batch).items()}
        losses, labelled = task_losses(full, batch.labels, self.layout.heads, self.losses)
        return self.balance.total(losses, labelled)

    def rows(self, batch: Any) -> Tensor:
        """Return the number of labelled rows of each head `[T]`."""
        return labelled_rows(batch.labels)

    def backward(self, model: nn.Module, loss: Tensor) -> None:
        """Leave the gradients of the last loss on the parameters."""
        self.balance.backward(loss, model.parameters())

    def describe(self, batch: Any) -> list[str]:
        """Return one line a number or label column: smallest, mean and largest value."""
        return column_statistics(self.layout, batch)

    def log_values(self) -> dict[str, float]:
        """Return the weight of each task's loss at the moment."""
        names = [f"weight.{head.name}" for head in self.layout.heads]
        return dict(zip(names, self.balance.log_values(), strict=True))

    def state(self) -> dict[str, Tensor]:
        """Return what the balance has learnt."""
        return self.balance.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.balance.restore(state)


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
