"""Adagrad with one accumulator a row: a quarter of the memory, and fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from crosstower.train.optim.coalesce import coalesce


class RowwiseAdagrad(torch.optim.Optimizer):
    """G_r += mean_j g_rj², w_r −= lr · g_r / (√G_r + eps), over touched rows r.

    The row-wise Adagrad of FBGEMM (Duchi et al. 2011, one accumulator a row).
    """

    def __init__(
        self, params: Iterable[torch.nn.Parameter], *, lr: float = 0.02, eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        if closure is not None:
            raise NotImplementedError("RowwiseAdagrad takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, *coalesce(parameter.grad), group)

    def _update(
        self, parameter: Tensor, rows: Tensor, gradient: Tensor, group: dict[str, Any]
    ) -> None:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["sum"] = torch.zeros(len(parameter), device=parameter.device)
        total = state["sum"][rows] + gradient.square().mean(1)
        state["sum"][rows] = total
        scale = group["lr"] / (total.sqrt() + group["eps"])
        weight = parameter[rows] * (1 - group["lr"] * group["weight_decay"])
        parameter[rows] = weight - scale.unsqueeze(1) * gradient
