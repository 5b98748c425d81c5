"""Adagrad for embedding tables, with one accumulator per weight."""

from __future__ import annotations

import torch
from torch import Tensor

from crosstower.training.optimizers.rowwise_adagrad import RowwiseAdagrad


class Adagrad(RowwiseAdagrad):
    """Adagrad: G_rj += g_rj², w_rj −= lr · g_rj / (√G_rj + eps), over touched rows r.

    Duchi et al. 2011; that of MLPerf's DLRM-DCNv2. It needs as much memory as the table itself.

    >>> import torch
    >>> table = torch.nn.Parameter(torch.ones(3, 2))
    >>> optimizer = Adagrad([table], lr=0.5)
    >>> torch.nn.functional.embedding(torch.tensor([1]), table, sparse=True).sum().backward()
    >>> optimizer.step()
    >>> table[:, 0].tolist()
    [1.0, 0.5, 1.0]

    Args:
        params: tables with sparse gradients.
        lr: learning rate.
        eps: added to the denominator.
        weight_decay: decoupled, per step.

    """

    def _zeros(self, parameter: Tensor) -> Tensor:
        return torch.zeros_like(parameter)

    def _squares(self, gradient: Tensor) -> Tensor:
        return gradient.square()
