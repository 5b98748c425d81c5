"""Trackers of experiments: MLflow, TensorBoard and Weights & Biases, one file each."""
