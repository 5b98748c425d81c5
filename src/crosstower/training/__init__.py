"""Training: one loop, optimisers, checkpoints."""
