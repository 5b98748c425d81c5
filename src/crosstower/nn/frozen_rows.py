"""Freeze some rows of an embedding table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn


def freeze_rows(table: nn.Parameter, frozen: Sequence[range]) -> None:
    """Freeze rows of a table: sparse gradients no longer contain them.

    The optimisers of tables update only rows with a gradient, so that weights and states of frozen
    rows stay as they are.

    >>> table = nn.Parameter(torch.ones(4, 2))
    >>> freeze_rows(table, [range(0, 2)])
    >>> rows = torch.tensor([1, 2, 2])
    >>> torch.nn.functional.embedding(rows, table, sparse=True).sum().backward()
    >>> table.grad.to_dense()[:, 0].tolist()
    [0.0, 0.0, 2.0, 0.0]

    Args:
        table: `[rows, D]`, whose gradients are sparse.
        frozen: ranges of rows that do not overlap; if they hold all rows, the table gets no
            gradient.

    """
    if sum(map(len, frozen)) == len(table):
        table.requires_grad_(False)
    elif frozen:
        table.register_hook(partial(_without, frozen))


def _without(frozen: Sequence[range], gradient: Tensor) -> Tensor:
    """Return a sparse gradient without some rows."""
    rows, values = gradient._indices()[0], gradient._values()
    kept = torch.ones_like(rows, dtype=torch.bool)
    for part in frozen:
        kept &= (rows < part.start) | (rows >= part.stop)
    return torch.sparse_coo_tensor(
        rows[kept].unsqueeze(0), values[kept], gradient.shape, check_invariants=False
    )
