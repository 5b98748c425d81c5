"""The objective of a ranker: the losses of its tasks on labelled rows."""

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
    """The losses of all heads, combined by a `Balance`.

    >>> import torch, crosstower as ct
    >>> heads = (ct.Head("click", "binary"),)
    >>> layout = ct.Layout(codes=(), numbers=("age",), lists=(), heads=heads)
    >>> objective = PointwiseObjective(layout, ct.losses.StaticBalance([1.0]))
    >>> model = ct.models.build(layout, {"name": "logistic_regression"})
    >>> batch = ct.Batch(torch.zeros(4, 0), torch.ones(4, 1), {}, torch.tensor([[0.0, 1, 1, 0]]).T)
    >>> objective.loss(model, batch).detach()  # log 2, as all weights start at zero
    tensor(0.6931)

    Args:
        layout: with T heads.
        balance: of the T losses.
        losses: by head; heads without one use the default loss of their kind.

    """

    def __init__(
        self, layout: Layout, balance: Balance, losses: Mapping[str, Loss] | None = None
    ) -> None:
        self.layout, self.balance, self.losses = layout, balance, losses

    def begin_epoch(self, model: nn.Module) -> None:
        """Do nothing: labels are the same in every epoch."""

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a batch, in float32 whatever the model's precision."""
        full = {name: logit.float() for name, logit in model(batch).items()}
        losses, labelled = task_losses(full, batch.labels, self.layout.heads, self.losses)
        return self.balance.total(losses, labelled)

    def rows(self, batch: Any) -> Tensor:
        """Return the number of labelled rows of each head `[T]`."""
        return labelled_rows(batch.labels)

    def backward(self, model: nn.Module, loss: Tensor) -> None:
        """Write the gradients of the last loss to the parameters."""
        self.balance.backward(loss, model.parameters())

    def describe(self, batch: Any) -> list[str]:
        """Return one line per number and label column: minimum, mean and maximum."""
        return column_statistics(self.layout, batch)

    def log_values(self) -> dict[str, float]:
        """Return the current weight of each task's loss."""
        names = [f"weight.{head.name}" for head in self.layout.heads]
        return dict(zip(names, self.balance.log_values(), strict=True))

    def state(self) -> dict[str, Tensor]:
        """Return the state of the balance."""
        return self.balance.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the state of the balance."""
        self.balance.restore(state)


def column_statistics(layout: Layout, batch: Batch) -> list[str]:
    """Return one line per number and label column: minimum, mean and maximum."""
    lines: list[str] = []
    named = [(n, batch.numbers[:, i]) for i, n in enumerate(layout.numbers)]
    named += [(f"label {h.name}", batch.labels[:, i]) for i, h in enumerate(layout.heads)]
    for name, values in named:
        known = values[~values.isnan()] if name.startswith("label ") else values
        if len(known):
            low, mean, high = (float(f(known)) for f in (torch.min, torch.mean, torch.max))
            lines.append(f"  {name}: min {low:.4g}, mean {mean:.4g}, max {high:.4g}")
    return lines
