"""When a training run is over: its epochs, and evaluations without an improvement."""

from __future__ import annotations

import math

from crosstower.recipe.training import Training
from crosstower.training.checkpoint import Position


def limits_of(settings: Training) -> tuple[int, int]:
    """Return the limits of a training run: epochs, and evaluations without an improvement."""
    return settings.epochs, settings.patience


def has_reached(position: Position, limits: tuple[int, int]) -> bool:
    """Return whether the epochs so far reach one of the limits.

    >>> has_reached(Position(epoch=4, epochs_without_gain=2), (10, 2))  # epochs, patience
    True
    """
    return position.epoch >= limits[0] or position.epochs_without_gain >= limits[1]


def is_over(position: Position, limits: tuple[int, int]) -> bool:
    """Return whether a training run is over, under limits that may differ from its former ones.

    >>> position = Position(epoch=3, finished=True, limits=(3, 2))
    >>> is_over(position, (3, 2)), is_over(position, (5, 2))
    (True, False)
    """
    return position.finished if position.limits == limits else has_reached(position, limits)


def improved(value: float | None, best: float | None, *, higher_is_better: bool) -> bool:
    """Return whether a metric is better than the best so far; NaN is worse than any number.

    >>> improved(0.7, 0.6, higher_is_better=True), improved(0.7, 0.6, higher_is_better=False)
    (True, False)

    Args:
        value: None if nothing is monitored, which counts as better.
        best: None if there is none so far.
        higher_is_better: direction of the metric.

    """
    if value is None:
        return True
    if math.isnan(value):
        return best is None
    if best is None or math.isnan(best):
        return True
    return value > best if higher_is_better else value < best
