"""Base of the optimisers of embedding tables: touched rows, and the steps that a row missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from crosstower.training.optimizers.coalesce import coalesce


class TableOptimizer(torch.optim.Optimizer):
    """Updates only the rows of tables that have a gradient.

    Steps are counted as integers: a float32 counter would stop at 2^24 = 16,777,216.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        if closure is not None:
            raise NotImplementedError(f"{type(self).__name__} takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, *coalesce(parameter.grad), group)

    def _update(
        self, parameter: Tensor, rows: Tensor, gradient: Tensor, group: dict[str, Any]
    ) -> None:
        """Update the rows `[R]` of a table by their gradients `[R, D]`."""
        raise NotImplementedError

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state; integers stay integers, which torch would turn into float32."""
        super().load_state_dict(state_dict)
        numbers = [number for group in state_dict["param_groups"] for number in group["params"]]
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for number, parameter in zip(numbers, parameters, strict=True):
            for name, value in state_dict["state"].get(number, {}).items():
                if not value.is_floating_point():
                    own = self.state[parameter][name].device
                    self.state[parameter][name] = value.detach().clone().to(own)


def start_counting(state: dict[str, Tensor], parameter: Tensor) -> None:
    """Start counting the steps of a table, and the last step of each of its rows."""
    state["step"] = torch.zeros((), dtype=torch.int64)  # in host memory, as torch keeps its own
    state["last"] = torch.zeros(len(parameter), dtype=torch.int32, device=parameter.device)


def steps_since(state: dict[str, Tensor], rows: Tensor) -> tuple[int, Tensor]:
    """Count a step that touches `rows` `[R]`; return its number and the steps since per row."""
    state["step"] += 1
    step = int(state["step"])
    since = step - state["last"].index_select(0, rows)  # at least 1: this step
    state["last"].index_fill_(0, rows, step)
    return step, since.unsqueeze(1)
