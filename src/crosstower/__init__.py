"""Crosstower: retrieve, rank, blend and serve, by one schema."""
