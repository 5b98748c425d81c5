"""FTRL-proximal for the wide side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from crosstower.training.optimizers.coalesce import coalesce


class FTRL(torch.optim.Optimizer):
    """FTRL-proximal with L1 and L2 (McMahan et al. 2013, algorithm 1), over touched rows.

    The paper uses gradients of single examples; here they are means over the labelled rows of a
    batch. They are multiplied by the group's `rows`, the number of those rows per head `[T]`, which
    `count_rows` sets before a step, so that l1 and l2 keep the paper's units. Weights must start at
    zero. `alpha` must stay constant: weights are derived from the sum of all gradients at one
    alpha, so a change would rescale them. The effective rate decreases with n by itself.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.zeros(2, 1))
    >>> optimizer = FTRL([weight], l1=1.0)
    >>> (weight * torch.tensor([[0.5], [2.0]])).sum().backward()
    >>> optimizer.step()
    >>> [round(float(w), 4) for w in weight.detach()]  # the small gradient stays below l1
    [0.0, -0.0164]

    Args:
        params: weights, all zero.
        alpha: learning rate.
        beta: smooths the first steps.
        l1: L1 regularisation, which keeps weights at exactly zero.
        l2: L2 regularisation.

    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        *,
        alpha: float = 0.05,
        beta: float = 1.0,
        l1: float = 0.0,
        l2: float = 1.0,
    ) -> None:
        # Not named `lr`: schedules change every `lr`, and alpha must stay constant.
        defaults = {"alpha": alpha, "beta": beta, "l1": l1, "l2": l2, "rows": 1.0}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient, or the whole of a dense parameter."""
        if closure is not None:
            raise NotImplementedError("FTRL takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter.grad.is_sparse:
                    self._update(parameter, *coalesce(parameter.grad), group)
                else:
                    self._update(parameter, slice(None), parameter.grad, group)

    def _update(
        self, parameter: Tensor, rows: Tensor | slice, gradient: Tensor, group: dict[str, Any]
    ) -> None:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["z"], state["n"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        g, n, weight = gradient * group["rows"], state["n"][rows], parameter[rows]
        sigma = ((n + g * g).sqrt() - n.sqrt()) / group["alpha"]
        z, n = state["z"][rows] + g - sigma * weight, n + g * g
        state["z"][rows], state["n"][rows] = z, n
        rate = (group["beta"] + n.sqrt()) / group["alpha"] + group["l2"]
        shrunk = z - z.sign() * group["l1"]
        parameter[rows] = torch.where(z.abs() <= group["l1"], 0.0, -shrunk / rate)


def count_rows(optimizers: Sequence[Optimizer], rows: Tensor) -> None:
    """Give FTRL-proximal the number of rows `[T]` that each head's gradient is the mean of.

    FTRL-proximal needs sums of gradients. With `combine: concat` a wide weight gets gradients from
    all heads; it is scaled by the rows of its own head.
    """
    for optimizer in optimizers:
        if isinstance(optimizer, FTRL):
            for group in optimizer.param_groups:
                group["rows"] = rows.to(group["params"][0].device)
