"""Retrievers: training, item indexes, baselines and evaluation."""
