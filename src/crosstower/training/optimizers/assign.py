"""Assign an optimiser to every parameter by its role."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from crosstower.models.two_tower import TwoTower
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.wide import WideLinear
from crosstower.nn.world import ALONE, World
from crosstower.recipe.training import Training
from crosstower.training.optimizers.adagrad import Adagrad
from crosstower.training.optimizers.coalesce import replace_gradient
from crosstower.training.optimizers.ftrl import FTRL
from crosstower.training.optimizers.fused_tables import FusedRows, FusedTables
from crosstower.training.optimizers.lazy_adam import LazyAdam
from crosstower.training.optimizers.rowwise_adagrad import RowwiseAdagrad

EMBEDDING_RATES = {"lazy_adam": 1e-3, "rowwise_adagrad": 0.02, "adagrad": 0.02}
# Ids to retrieve have few rows each: at 0.001, their vectors stay random for several epochs, and
# early stopping may end before anything is learned.
RETRIEVAL_RATES = EMBEDDING_RATES | {"lazy_adam": 0.01}
_EMBEDDING_OPTIMIZERS: dict[str, type[LazyAdam | RowwiseAdagrad]] = {
    "lazy_adam": LazyAdam,
    "rowwise_adagrad": RowwiseAdagrad,
    "adagrad": Adagrad,
}
_EPS = 1e-8  # of the dense Adagrad, as in MLPerf's DLRM-DCNv2


def build_optimizers(model: nn.Module, settings: Training) -> list[Optimizer]:
    """Return optimisers that together own each parameter exactly once.

    `WideLinear` is trained by FTRL-proximal, the tables of `EmbeddingStore` by the chosen sparse
    optimiser, everything else by AdamW or Adagrad, without weight decay on vectors (biases).

    >>> from crosstower.nn import MLP, WideLinear
    >>> from torch import nn
    >>> model = nn.ModuleList([MLP(8, (4,)), WideLinear([], [], numbers=8, heads=1)])
    >>> [type(optimizer).__name__ for optimizer in build_optimizers(model, Training())]
    ['AdamW', 'FTRL']

    Args:
        model: to train.
        settings: learning rates and regularisation.

    """
    wide = _of_type(model, WideLinear)
    tables, fused = _tables(model), _fused(model)
    special = {id(p) for p in wide + tables}
    dense = [p for p in model.parameters() if id(p) not in special]
    optimizers: list[Optimizer] = []
    if dense:
        decay, rate = settings.weight_decay, settings.learning_rate
        decayed = {"params": [p for p in dense if p.ndim > 1], "weight_decay": decay}
        plain = {"params": [p for p in dense if p.ndim <= 1], "weight_decay": 0.0}
        if settings.optimizer == "adamw":
            optimizers.append(torch.optim.AdamW([decayed, plain], lr=rate, fused=True))
        else:
            optimizers.append(torch.optim.Adagrad([decayed, plain], lr=rate, eps=_EPS))
    if tables:
        name, decay = settings.embedding_optimizer, settings.embedding_weight_decay
        rate = _embedding_rate(model, settings)
        optimizers.append(_EMBEDDING_OPTIMIZERS[name](tables, lr=rate, weight_decay=decay))
    if wide:
        s = settings
        rule = FTRL(wide, alpha=s.wide_alpha, beta=s.wide_beta, l1=s.wide_l1, l2=s.wide_l2)
        optimizers.append(rule)
    if fused:
        rate = _embedding_rate(model, settings)
        # Its place is that of the tables' optimiser, as in a checkpoint of one process.
        place = len(optimizers) if tables else min(len(optimizers), 1 if dense else 0)
        optimizers.insert(place, FusedTables(fused, lr=rate))
    return optimizers


def _embedding_rate(model: nn.Module, settings: Training) -> float:
    """Return the rate of the settings, or the default of the optimiser for this kind of model."""
    name = settings.embedding_optimizer
    retrieves = isinstance(model, TwoTower) and not model.layout.heads
    default = RETRIEVAL_RATES if retrieves else EMBEDDING_RATES
    return settings.embedding_learning_rate or default[name]


def set_learning_rates(
    optimizers: Sequence[Optimizer], settings: Training, step: int, total: int
) -> None:
    """Set the learning rates of a step according to the schedule.

    Args:
        optimizers: from `build_optimizers`.
        settings: schedule and warm-up.
        step: number of the step, from 0.
        total: number of steps that the schedule spans.

    """
    share = factor(step, total, kind=settings.schedule, warmup=settings.warmup_steps)
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        if "lr" in group:  # FTRL has none: its rate decreases by itself
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * share


def factor(step: int, total: int, *, kind: str, warmup: int) -> float:
    """Return the factor of the learning rate at `step` of `total`, in (0, 1]."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min((step - warmup) / max(total - warmup, 1), 1.0)
    if kind == "cosine":
        return max(0.5 * (1.0 + math.cos(math.pi * progress)), 1e-3)
    return max(1.0 - progress, 1e-3) if kind == "linear" else 1.0


def count_rows(optimizers: Sequence[Optimizer], rows: Tensor) -> None:
    """Give FTRL-proximal the number of rows `[T]` that each head's gradient is the mean of.

    FTRL-proximal needs sums of gradients. With `combine: concat` a wide weight gets gradients from
    all heads; it is scaled by the rows of its own head.
    """
    for optimizer in optimizers:
        if isinstance(optimizer, FTRL):
            for group in optimizer.param_groups:
                group["rows"] = rows.to(group["params"][0].device)


def clip_gradients(
    optimizers: Sequence[Optimizer], max_norm: float = math.inf, *, world: World = ALONE
) -> float:
    """Scale all gradients to a joint norm of at most `max_norm`; return the norm before.

    Sparse gradients are coalesced on the way.

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


def _of_type(model: nn.Module, kind: type[nn.Module]) -> list[nn.Parameter]:
    return [p for m in model.modules() if isinstance(m, kind) for p in m.parameters()]


def _tables(model: nn.Module) -> list[nn.Parameter]:
    """Return the embedding tables; the parameters of trained pooling count as dense."""
    stores = [m for m in model.modules() if isinstance(m, EmbeddingStore)]
    return [p for store in stores for p in store.tables.values()]


def _fused(model: nn.Module) -> list[FusedRows]:
    """Return the tables that update themselves."""
    stores = [m for m in model.modules() if isinstance(m, EmbeddingStore)]
    sharded = [(store, name, rows) for store in stores for name, rows in store.sharded.items()]
    return [cast("FusedRows", rows) for store, name, rows in sharded if name not in store.tables]
