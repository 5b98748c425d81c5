"""Layers, each a small  with its shapes and its source."""
