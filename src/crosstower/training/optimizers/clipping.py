"""Clip the gradients of all optimisers to a joint norm, in one process or several."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from crosstower.nn.world import ALONE, World
from crosstower.training.optimizers.coalesce import replace_gradient


def clip_gradients(
    optimizers: Sequence[Optimizer], max_norm: float = math.inf, *, world: World = ALONE
) -> float:
    """Scale all gradients to a joint norm of at most `max_norm`; return the norm before.

    Sparse gradients are coalesced on the way.

    >>> w = torch.nn.Parameter(torch.zeros(2))
    >>> w.grad = torch.tensor([3.0, 4.0])
    >>> clip_gradients([torch.optim.SGD([w])], max_norm=1.0)
    5.0
    >>> w.grad
    tensor([0.6000, 0.8000])

    Args:
        optimizers: of the parameters.
        max_norm: of all gradients together.
        world: whose processes each have the sparse gradients of their rows.

    """
    values, sparse = list[Tensor](), list[bool]()
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                replace_gradient(parameter)
                if parameter.grad is not None:
                    grad = parameter.grad
                    values.append(grad._values() if grad.is_sparse else grad)
                    sparse.append(grad.is_sparse)
    norms = [v.norm() for v in values]  # of several devices, where tables are in host memory
    joint = torch.stack([n.to(norms[0].device) for n in norms]) if norms else torch.zeros(1)
    if world.size > 1:
        joint = _joint_norms(joint, sparse, world)
    norm = float(joint.norm())
    if norm > max_norm and math.isfinite(norm):
        for value in values:
            value.mul_(max_norm / norm)
    return norm


def _joint_norms(norms: Tensor, sparse: Sequence[bool], world: World) -> Tensor:
    """Return norms over all processes, which have rows of tables, and equal dense layers."""
    tables = torch.tensor(sparse, device=norms.device)
    squares = world.sum(torch.where(tables, norms.square(), 0.0))
    return torch.where(tables, squares.sqrt(), norms)
