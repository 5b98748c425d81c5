"""Optimisers for dense layers, embedding tables and the wide side."""

from crosstower.training.optimizers.assign import build_optimizers
from crosstower.training.optimizers.clipping import clip_gradients
from crosstower.training.optimizers.ftrl import count_rows
from crosstower.training.optimizers.schedule import set_learning_rates

__all__ = ["build_optimizers", "clip_gradients", "count_rows", "set_learning_rates"]
