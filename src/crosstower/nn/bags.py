"""Bags of rows of a table, with a sparse gradient that has each row once."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor


def pooled_bags(ids: Tensor, table: Tensor, offsets: Tensor, mode: str) -> Tensor:
    """Return the mean or sum `[B, D]` of the rows of B bags; zeros for an empty bag.

    It equals `F.embedding_bag` with `sparse=True`, whose gradient has a row for each of the V
    values. That of this function has one for each distinct row, so its memory is not O(V D).

    >>> table = torch.nn.Parameter(torch.ones(4, 2))
    >>> bags = pooled_bags(torch.tensor([1, 1, 3]), table, torch.tensor([0, 2, 3]), "sum")
    >>> bags.sum().backward()
    >>> table.grad._indices().tolist(), table.grad._values()[:, 0].tolist()
    ([[1, 3]], [2.0, 1.0])

    Args:
        ids: rows of the table, `[V]`.
        table: `[rows, D]`.
        offsets: `[B + 1]`: bag i is `ids[offsets[i]:offsets[i + 1]]`.
        mode: mean or sum.

    """
    return cast("Tensor", _Bags.apply(ids, table, offsets, mode))


def summed_by_row(rows: Tensor, places: Tensor | None, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct rows `[R]`, ascending, and for each the sum `[R, D]` of its values.

    >>> summed_by_row(torch.tensor([7, 2, 7]), None, torch.tensor([[1.0], [2.0], [3.0]]))
    (tensor([2, 7]), tensor([[2.],
            [4.]]))

    Args:
        rows: `[V]`.
        places: of the value of each row, `[V]`; None if the i-th row has the i-th value.
        values: `[P, D]`.

    """
    rows, order = rows.sort()
    distinct, counts = torch.unique_consecutive(rows, return_counts=True)
    starts = counts.cumsum(0) - counts
    # One bag per row: this kernel adds whole rows and is several times faster than index_add_.
    chosen = order if places is None else places[order]
    return distinct, F.embedding_bag(chosen, values, starts, mode="sum")


class _Bags(torch.autograd.Function):
    """`F.embedding_bag`, with the gradient of `pooled_bags`."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, table: Tensor, offsets: Tensor, mode: str) -> Tensor:
        ctx.save_for_backward(ids, offsets)
        ctx.mode, ctx.shape = mode, table.shape
        return F.embedding_bag(ids, table, offsets, mode=mode, include_last_offset=True)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, None, None]:
        ids, offsets = ctx.saved_tensors
        counts = offsets.diff()
        slopes = grads[0].contiguous()  # [B, D]
        if ctx.mode == "mean":
            slopes = slopes / counts.clamp(min=1).unsqueeze(1)
        bags = torch.arange(len(counts), device=ids.device)
        bags = bags.repeat_interleave(counts, output_size=len(ids))
        rows, values = summed_by_row(ids, bags, slopes)
        gradient = torch.sparse_coo_tensor(
            rows.unsqueeze(0), values, ctx.shape, is_coalesced=True, check_invariants=False
        )
        return None, gradient, None, None
