"""Layers, each a small `nn.Module` with its shapes and its source."""
