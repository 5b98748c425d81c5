"""When a training is over: the most epochs, and epochs without a gain."""

from __future__ import annotations

from crosstower.recipe.recipe import Training
from crosstower.training.checkpoint import Position


def limits_of(settings: Training) -> tuple[int, int]:
    """Return what ends a training: the most epochs, and epochs without a gain."""
    return settings.epochs, settings.patience


def is_over(position: Position, settings: Training) -> bool:
    """Return whether a training is over, under limits that may be others than before."""
    if position.limits == limits_of(settings):
        return position.finished
    return has_enough(position, settings)


def has_enough(position: Position, settings: Training) -> bool:
    """Return whether the epochs so far reach a limit."""
    epochs, patience = limits_of(settings)
    return position.epoch >= epochs or position.epochs_without_gain >= patience
