"""Adam for embedding tables, updating only touched rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from crosstower.training.optimizers.table_optimizer import (
    TableOptimizer,
    start_counting,
    steps_since,
)


class LazyAdam(TableOptimizer):
    """Adam (Kingma & Ba 2015) over touched rows, corrected for the steps that a row missed.

    When a row is touched again, its moments first decay by β^(missed steps), as those of dense Adam
    would have with zero gradients; the bias correction counts all steps. A row touched at every
    step is therefore updated as in AdamW, and the cost of a step depends on the touched rows, not
    on the size of the table. Unlike dense Adam, it does not move rows without a gradient by their
    momentum. Weight decay (decoupled) is applied for missed steps as well.

    >>> import torch
    >>> table = torch.nn.Parameter(torch.ones(3, 2))
    >>> optimizer = LazyAdam([table], lr=0.1)
    >>> torch.nn.functional.embedding(torch.tensor([1]), table, sparse=True).sum().backward()
    >>> optimizer.step()
    >>> table[:, 0].tolist()
    [1.0, 0.8999999761581421, 1.0]

    Args:
        params: tables with sparse gradients.
        lr: learning rate.
        betas: decay rates of the mean and of the square.
        eps: added to the denominator.
        weight_decay: decoupled, per step.

    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def _update(
        self, parameter: Tensor, rows: Tensor, gradient: Tensor, group: dict[str, Any]
    ) -> None:
        state, width = self._state_of(parameter), parameter.shape[1]
        (step, since), (beta1, beta2) = steps_since(state, rows), group["betas"]
        moments = state["moments"].index_select(0, rows)  # [R, 2D]: mean beside square
        mean, square = moments[:, :width], moments[:, width:]
        mean.mul_(beta1**since).add_(gradient, alpha=1 - beta1)
        square.mul_(beta2**since).addcmul_(gradient, gradient, value=1 - beta2)
        state["moments"].index_copy_(0, rows, moments)
        corrected = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        kept = (1 - group["lr"] * group["weight_decay"]) ** since
        weight = parameter.index_select(0, rows) * kept
        weight.sub_(mean.div(1 - beta1**step).div_(corrected).mul_(group["lr"]))
        parameter.index_copy_(0, rows, weight)

    def _state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            start_counting(state, parameter)
            # Both moments of a row are adjacent: one memory access instead of two.
            rows, width = parameter.shape
            state["moments"] = parameter.new_zeros(rows, 2 * width)
        return state
