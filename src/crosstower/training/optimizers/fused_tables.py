"""The optimiser of tables that update themselves by a fused kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import nn


class FusedRows(Protocol):
    """Rows whose optimiser is part of their look-up."""

    def update(self, rate: float) -> None:
        """Update the rows by the gradients of the look-ups since the last call."""
        ...


class FusedTables(torch.optim.Optimizer):
    """Gives fused tables their learning rate, and the time of their update.

    Args:
        tables: updated by `step`.
        lr: learning rate.

    """

    def __init__(self, tables: Sequence[FusedRows], *, lr: float) -> None:
        # The tables are no parameters, and torch wants one.
        super().__init__([nn.Parameter(torch.empty(0))], {"lr": lr})
        self.tables = tuple(tables)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update all tables."""
        if closure is not None:
            raise NotImplementedError("FusedTables takes no closure")
        for rows in self.tables:
            rows.update(self.param_groups[0]["lr"])
