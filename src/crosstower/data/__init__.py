"""From raw rows to batches of tensors: sources, encoders, splits, worlds."""

from crosstower.data.datasets import worlds

__all__ = ["worlds"]
