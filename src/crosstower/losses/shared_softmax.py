"""Softmax over the catalogue for pairs that share queries, computed once per query.

Shapes: P pairs, Q queries, N items, D the width of their vectors.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from crosstower.data.ragged import Ragged
from crosstower.losses.softmax_blocks import block_rows


def shared_softmax_loss(
    queries: Tensor,
    items: Tensor,
    owner: Tensor,
    positive: Tensor,
    left_out: Ragged | None = None,
) -> Tensor:
    """Return the mean cross-entropy of P positives among all items, for Q queries with several.

    Up to a constant, it is the negative log-likelihood of a multinomial distribution over the items
    of each query (Liang et al. 2018, equation 2), divided by P. The items left out have the
    probability 0. The scores of a query are computed once, whatever the number of its positives,
    block by block together with the gradient.

    >>> import torch
    >>> queries, items = torch.zeros(2, 4), torch.ones(8, 4)
    >>> loss = shared_softmax_loss(queries, items, torch.tensor([0, 0, 1]), torch.tensor([5, 1, 2]))
    >>> round(float(loss), 4)  # log 8: all scores are equal
    2.0794

    Args:
        queries: `[Q, D]`, already divided by the temperature.
        items: `[N, D]`, the whole catalogue.
        owner: `[P]`, the query of each pair, in ascending order.
        positive: `[P]`, the item of each pair.
        left_out: items that a query cannot have, `[Q]` lists; none of them is a positive of it.

    Returns:
        A scalar in float32.

    """
    return _Softmax.apply(queries, items, owner, positive, left_out)


class _Softmax(torch.autograd.Function):
    """Mean over pairs (q, p) of log Σ_j exp(q·c_j) - q·c_p."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        queries, items, owner, positive, left_out = inputs
        kind = queries.device.type
        low = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if low else torch.float32
        q, c = queries.detach().to(dtype), items.detach().to(dtype)
        pairs = torch.bincount(owner, minlength=len(q))
        ends = pairs.cumsum(0).tolist()
        q_grad, c_grad = torch.empty_like(q), torch.zeros_like(c, dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float64, device=q.device)
        rows = min(len(q), block_rows(len(c), q.device))
        scores = torch.empty(rows, len(c), device=q.device)
        for start in range(0, len(q), rows):
            part = slice(start, min(start + rows, len(q)))
            own = slice(ends[start - 1] if start else 0, ends[part.stop - 1])
            at = owner[own] - start, positive[own]
            logits = scores[: part.stop - start].copy_(q[part] @ c.T)  # [block, N]
            mine = logits[at].sum()
            if left_out is not None:
                outside = left_out[part]
                logits[outside.owners(), outside.values] = -math.inf
            most = logits.amax(1, keepdim=True)
            shares = logits.sub_(most).exp_()
            whole = shares.sum(1, keepdim=True)
            count = pairs[part].unsqueeze(1)
            total += (count * (most + whole.log())).sum().double() - mine.double()
            shares.mul_(count / whole).index_put_(at, shares.new_full((), -1.0), accumulate=True)
            slope = shares.to(dtype)
            torch.mm(slope, c, out=q_grad[part])
            c_grad += slope.T @ q[part]
        ctx.save_for_backward(q_grad, c_grad)
        ctx.kinds, ctx.pairs = (queries.dtype, items.dtype), len(owner)
        return (total / len(owner)).float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (q_grad, c_grad), (q_kind, c_kind) = ctx.saved_tensors, ctx.kinds
        scale = grads[0] / ctx.pairs
        return (q_grad * scale).to(q_kind), (c_grad * scale).to(c_kind), None, None, None
