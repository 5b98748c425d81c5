"""Devices of a model: that of its embedding tables, and that of all else."""

from __future__ import annotations

import torch
from torch import nn

from crosstower.nn.embedding import EmbeddingStore


def offload_embeddings(model: nn.Module, device: torch.device | str) -> None:
    """Move the embedding tables of a model to `device`; its other parameters stay.

    >>> from crosstower.data.layout import CodeField
    >>> store = EmbeddingStore([CodeField("item", size=10, table="item")], [], dim=4)
    >>> model = nn.Sequential(store, nn.Linear(4, 1))
    >>> offload_embeddings(model, "meta")
    >>> store.tables["4"].device.type, device_of(model).type
    ('meta', 'cpu')
    """
    for module in model.modules():
        if isinstance(module, EmbeddingStore):
            module.tables.to(device)


def device_of(model: nn.Module) -> torch.device:
    """Return the device that a model computes on, regardless of that of its embedding tables."""
    stores = [m for m in model.modules() if isinstance(m, EmbeddingStore)]
    tables = {id(p) for store in stores for p in store.tables.values()}
    parameters = list(model.parameters())
    return next((p for p in parameters if id(p) not in tables), parameters[0]).device
