"""From raw rows to batches of tensors: sources, encoders, splits, worlds."""
