"""Assign an optimiser to every parameter by its role."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.optim import Optimizer

from crosstower.models.two_tower import TwoTower
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.wide import WideLinear
from crosstower.recipe.training import Training
from crosstower.training.optimizers.adagrad import Adagrad
from crosstower.training.optimizers.ftrl import FTRL
from crosstower.training.optimizers.fused_tables import FusedRows, FusedTables
from crosstower.training.optimizers.lazy_adam import LazyAdam
from crosstower.training.optimizers.rowwise_adagrad import RowwiseAdagrad

_RATES = {"lazy_adam": 1e-3, "rowwise_adagrad": 0.02, "adagrad": 0.02}
# Ids to retrieve have few rows each: at 0.001, their vectors stay random for several epochs, and
# early stopping may end before anything is learned.
_RETRIEVAL_RATES = _RATES | {"lazy_adam": 0.01}
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
        rate = embedding_rate(settings, retrieves=_retrieves(model))
        optimizers.append(_EMBEDDING_OPTIMIZERS[name](tables, lr=rate, weight_decay=decay))
    if wide:
        s = settings
        rule = FTRL(wide, alpha=s.wide_alpha, beta=s.wide_beta, l1=s.wide_l1, l2=s.wide_l2)
        optimizers.append(rule)
    if fused:
        rate = embedding_rate(settings, retrieves=_retrieves(model))
        # Its place is that of the tables' optimiser, as in a checkpoint of one process.
        place = len(optimizers) if tables else min(len(optimizers), 1 if dense else 0)
        optimizers.insert(place, FusedTables(fused, lr=rate))
    return optimizers


def embedding_rate(settings: Training, *, retrieves: bool) -> float:
    """Return the learning rate of embeddings: that of the settings, or of their optimiser.

    >>> embedding_rate(Training(), retrieves=True), embedding_rate(Training(), retrieves=False)
    (0.01, 0.001)

    Args:
        settings: of the training.
        retrieves: whether the model is a retriever.

    """
    default = _RETRIEVAL_RATES if retrieves else _RATES
    return settings.embedding_learning_rate or default[settings.embedding_optimizer]


def _retrieves(model: nn.Module) -> bool:
    return isinstance(model, TwoTower) and not model.layout.heads


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
