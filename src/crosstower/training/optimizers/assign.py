"""Assign an optimiser to every parameter by its role."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.wide import WideLinear
from crosstower.training.optimizers.coalesce import replace_gradient
from crosstower.training.optimizers.ftrl import FTRL
from crosstower.training.optimizers.lazy_adam import LazyAdam
from crosstower.training.optimizers.rowwise_adagrad import RowwiseAdagrad

EMBEDDING_RATES = {"lazy_adam": 1e-3, "rowwise_adagrad": 0.02}


def build_optimizers(
    model: nn.Module,
    *,
    dense_lr: float = 1e-3,
    weight_decay: float = 1e-5,
    embedding_lr: float | None = None,
    embedding_weight_decay: float = 0.0,
    embedding_optimizer: Literal["lazy_adam", "rowwise_adagrad"] = "lazy_adam",
    wide_alpha: float = 0.05,
    wide_beta: float = 1.0,
    wide_l1: float = 0.0,
    wide_l2: float = 1.0,
) -> list[Optimizer]:
    """Return optimisers that together own each parameter exactly once.

    `WideLinear` is trained by FTRL-proximal, the tables of `EmbeddingStore` by the chosen sparse
    optimiser, everything else by AdamW, without weight decay on vectors (biases).

    >>> from crosstower.nn import MLP, WideLinear
    >>> from torch import nn
    >>> model = nn.ModuleList([MLP(8, (4,)), WideLinear([], [], numbers=8, heads=1)])
    >>> [type(optimizer).__name__ for optimizer in build_optimizers(model)]
    ['AdamW', 'FTRL']

    Args:
        model: to train.
        dense_lr: learning rate of AdamW.
        weight_decay: of AdamW, decoupled.
        embedding_lr: learning rate of the tables; that of `EMBEDDING_RATES` if None.
        embedding_weight_decay: of touched rows, decoupled.
        embedding_optimizer: `LazyAdam` or `RowwiseAdagrad`.
        wide_alpha: learning rate of FTRL-proximal.
        wide_beta: smooths its first steps.
        wide_l1: its L1 regularisation, which keeps weights at exactly zero.
        wide_l2: its L2 regularisation.

    """
    wide = _of_type(model, WideLinear)
    tables = _tables(model)
    special = {id(p) for p in wide + tables}
    dense = [p for p in model.parameters() if id(p) not in special]
    optimizers: list[Optimizer] = []
    if dense:
        decayed = {"params": [p for p in dense if p.ndim > 1], "weight_decay": weight_decay}
        plain = {"params": [p for p in dense if p.ndim <= 1], "weight_decay": 0.0}
        optimizers.append(torch.optim.AdamW([decayed, plain], lr=dense_lr, fused=True))
    if tables:
        sparse = LazyAdam if embedding_optimizer == "lazy_adam" else RowwiseAdagrad
        rate = EMBEDDING_RATES[embedding_optimizer] if embedding_lr is None else embedding_lr
        optimizers.append(sparse(tables, lr=rate, weight_decay=embedding_weight_decay))
    if wide:
        optimizers.append(FTRL(wide, alpha=wide_alpha, beta=wide_beta, l1=wide_l1, l2=wide_l2))
    return optimizers


def count_rows(optimizers: Sequence[Optimizer], rows: Tensor) -> None:
    """Give FTRL-proximal the number of rows `[T]` that each head's gradient is the mean of.

    FTRL-proximal needs sums of gradients. With `combine: concat` a wide weight gets gradients from
    all heads; it is scaled by the rows of its own head.
    """
    for optimizer in optimizers:
        if isinstance(optimizer, FTRL):
            for group in optimizer.param_groups:
                group["rows"] = rows.to(group["params"][0].device)


def clip_gradients(optimizers: Sequence[Optimizer], max_norm: float = math.inf) -> float:
    """Scale all gradients to a joint norm of at most `max_norm`; return the norm before.

    Sparse gradients are coalesced on the way.
    """
    values: list[Tensor] = []
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                replace_gradient(parameter)
                if parameter.grad is not None:
                    grad = parameter.grad
                    values.append(grad._values() if grad.is_sparse else grad)
    norms = [v.norm() for v in values]  # of several devices, where tables are in host memory
    norm = float(torch.stack([n.to(norms[0].device) for n in norms]).norm()) if norms else 0.0
    if norm > max_norm and math.isfinite(norm):
        for value in values:
            value.mul_(max_norm / norm)
    return norm


def _of_type(model: nn.Module, kind: type[nn.Module]) -> list[nn.Parameter]:
    return [p for m in model.modules() if isinstance(m, kind) for p in m.parameters()]


def _tables(model: nn.Module) -> list[nn.Parameter]:
    """Return the embedding tables; the parameters of trained pooling count as dense."""
    stores = [m for m in model.modules() if isinstance(m, EmbeddingStore)]
    return [p for store in stores for p in store.tables.values()]
