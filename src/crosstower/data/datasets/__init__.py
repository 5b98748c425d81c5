"""Public datasets, and synthetic ones."""
