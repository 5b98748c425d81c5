"""Sum the duplicate rows of a sparse gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def coalesce(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the touched rows `[R]`, ascending, and their summed gradients `[R, D]`."""
    if gradient.is_coalesced():
        return gradient.indices()[0], gradient.values()
    touched, order = gradient._indices()[0].sort()
    rows, counts = torch.unique_consecutive(touched, return_counts=True)
    starts = counts.cumsum(0) - counts
    # One bag per row: this kernel adds whole rows and is several times faster than index_add_.
    return rows, F.embedding_bag(order, gradient._values(), starts, mode="sum")


def replace_gradient(parameter: torch.nn.Parameter) -> None:
    """Replace a sparse gradient by its coalesced form, which later steps reuse."""
    if (
        parameter.grad is not None
        and parameter.grad.is_sparse
        and not parameter.grad.is_coalesced()
    ):
        rows, values = coalesce(parameter.grad)
        parameter.grad = torch.sparse_coo_tensor(
            rows.unsqueeze(0), values, parameter.shape, is_coalesced=True, check_invariants=False
        )
