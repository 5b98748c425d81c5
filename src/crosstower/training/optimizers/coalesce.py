"""Sum the duplicate rows of a sparse gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from crosstower.nn.bags import summed_by_row


def coalesce(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the touched rows `[R]`, ascending, and their summed gradients `[R, D]`."""
    if gradient.is_coalesced():
        return gradient.indices()[0], gradient.values()
    return summed_by_row(gradient._indices()[0], None, gradient._values())


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
