"""The optimiser of tables that update themselves by a fused kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import nn


class FusedRows(Protocol):
    """Rows whose optimiser is part of their look-up."""

    def begin(self, rate: float) -> None:
        """Set the learning rate for the look-ups that follow."""
        ...

    def update(self) -> None:
        """Update the rows by the gradients of the look-ups since `begin`."""
        ...


class FusedTables(torch.optim.Optimizer):
    """Gives fused tables their learning rate, and the time of their update.

    Args:
        tables: updated by `step`.
        lr: learning rate.

    """

    def __init__(self, tables: Sequence[FusedRows], *, lr: float) -> None:
        # The tables are not parameters, and torch wants one.
        super().__init__([nn.Parameter(torch.empty(0))], {"lr": lr})
        self.tables = tuple(tables)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Begin a step with the current learning rate."""
        del set_to_none
        for rows in self.tables:
            rows.begin(self.param_groups[0]["lr"])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update all tables."""
        if closure is not None:
            raise NotImplementedError("FusedTables takes no closure")
        for rows in self.tables:
            rows.update()
