"""Learning rates by step: warm-up, then constant, cosine or linear."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch.optim import Optimizer

from crosstower.recipe.training import Training


def set_learning_rates(
    optimizers: Sequence[Optimizer], settings: Training, step: int, total: int
) -> None:
    """Set the learning rates of a step according to the schedule.

    Args:
        optimizers: from `build_optimizers`.
        settings: schedule and warm-up.
        step: number of the step, from 0.
        total: number of steps that the schedule spans.

    """
    share = factor(step, total, kind=settings.schedule, warmup=settings.warmup_steps)
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        if "lr" in group:  # FTRL has none: its rate decreases by itself
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * share


def factor(step: int, total: int, *, kind: str, warmup: int) -> float:
    """Return the factor of the learning rate at `step` of `total`, in (0, 1].

    >>> [factor(step, 10, kind="linear", warmup=2) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.001]
    >>> round(factor(6, 10, kind="cosine", warmup=2), 3)
    0.5
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min((step - warmup) / max(total - warmup, 1), 1.0)
    if kind == "cosine":
        return max(0.5 * (1.0 + math.cos(math.pi * progress)), 1e-3)
    return max(1.0 - progress, 1e-3) if kind == "linear" else 1.0
