"""Optimisers for dense layers, embedding tables and the wide side."""

from crosstower.training.optimizers.assign import (
    build_optimizers,
    clip_gradients,
    count_rows,
    set_learning_rates,
)

__all__ = ["build_optimizers", "clip_gradients", "count_rows", "set_learning_rates"]
