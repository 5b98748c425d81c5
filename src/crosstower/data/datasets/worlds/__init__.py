"""Simulated worlds whose true probabilities are known. Formulas: in each world's file."""

from crosstower.data.datasets.worlds.registry import World, description, make, world_names

__all__ = ["World", "description", "make", "world_names"]
