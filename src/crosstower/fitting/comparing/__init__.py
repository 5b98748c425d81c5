"""Finished runs side by side: metrics, paired tests and learning curves."""
