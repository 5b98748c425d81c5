"""Sum the duplicate rows of a sparse gradient."""

from __future__ import annotations

import torch
from torch import Tensor


def coalesce(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the touched rows `[R]`, ascending, and their summed gradients `[R, D]`."""
    if gradient.is_coalesced():
        return gradient.indices()[0], gradient.values()
    rows, place = torch.unique(gradient._indices()[0], return_inverse=True)
    values = gradient._values()
    summed = values.new_zeros((len(rows), values.shape[1])).index_add_(0, place, values)
    return rows, summed


def replace_gradient(parameter: torch.nn.Parameter) -> None:
    """Coalesce a sparse gradient in place, so that nobody has to do it again."""
    if (
        parameter.grad is not None
        and parameter.grad.is_sparse
        and not parameter.grad.is_coalesced()
    ):
        rows, values = coalesce(parameter.grad)
        parameter.grad = torch.sparse_coo_tensor(
            rows.unsqueeze(0), values, parameter.shape, is_coalesced=True, check_invariants=False
        )
