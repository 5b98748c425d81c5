"""Synthetic datasets ("worlds") with known true probabilities."""

from crosstower.data.datasets.worlds.registry import World, description, make, world_names

__all__ = ["World", "description", "make", "world_names"]
