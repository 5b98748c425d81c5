"""Synthetic datasets ("worlds") with known true probabilities."""

from crosstower.data.datasets.worlds.drift import Session
from crosstower.data.datasets.worlds.drifting_feed import DriftingFeed
from crosstower.data.datasets.worlds.registry import World, description, make, world_names

__all__ = ["DriftingFeed", "Session", "World", "description", "make", "world_names"]
