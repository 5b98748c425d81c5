"""Losses of retrieval models over candidates, computed without keeping their scores.

Shapes: B queries, C candidates that all queries share, D the width of their vectors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from crosstower.losses.registry import RetrievalStep, register_loss

_BLOCK = 512


def sampled_softmax_loss(
    queries: Tensor,
    candidates: Tensor,
    positive: Tensor,
    *,
    log_q: Tensor | None = None,
    counts: Tensor | None = None,
    mask_accidental: bool = True,
    positives_drawn: bool = True,
) -> Tensor:
    """Return the mean cross-entropy of the positive among candidates, corrected for sampling.

    The sum over the catalogue is estimated by exp(s⁺) + Σ_j n_j·exp(s_j) / E[n_j], with n_j how
    often item j was drawn as a negative (Bengio & Senécal 2008; logQ correction, Yi et al. 2019).
    Without the division popular items, drawn more often as negatives, are pushed down. The
    positive is there for sure, not by chance, so it is not divided by anything.

    A candidate that was drawn n times is given once, with its count; one that was not drawn, such
    as another query's positive, has the count 0. With in-batch negatives one draw of a query's
    positive is the positive itself (`positives_drawn`); the other draws are accidental hits.

    Gradients are computed block by block along with the loss, so that no `[B, C]` tensor lives
    longer than its block: as fast as memory of the inner caches allows.

    Args:
        queries: `[B, D]`, already divided by the temperature.
        candidates: `[C, D]`, different items.
        positive: `[B]`, the candidate that is each query's positive.
        log_q: `[C]`, log E[n_j], how often each candidate is expected among the negatives.
        counts: `[C]`, how often each was drawn, 0 or more; 1 if None.
        mask_accidental: leave accidental hits out of the sum.
        positives_drawn: the counts hold the positive of each query once.

    """
    offset = candidates.new_zeros(len(candidates)) if log_q is None else -log_q
    counts = torch.ones_like(offset) if counts is None else counts
    weight = offset + counts.log()  # of all draws
    own = torch.zeros_like(weight[positive])
    if mask_accidental:
        return _Softmax.apply(queries, candidates, positive, weight, own)
    # The sum holds the positive and its accidental hits: 1 + hits / E[n].
    drawn = counts[positive] - 1 if positives_drawn else counts[positive]
    hits = drawn.clamp(min=0) * offset[positive].exp()
    loss = _Softmax.apply(queries, candidates, positive, weight, torch.log1p(hits))
    return loss + torch.log1p(hits).mean()


class _Softmax(torch.autograd.Function):
    """Mean over i of log Σ_j exp(q_i·c_j + o_j) - (q_i·c_p + o'_i), with o' for j = p as well."""

    @staticmethod
    def forward(
        ctx: Any,
        *inputs: Tensor,
    ) -> Tensor:
        queries, candidates, positive, offset, own = inputs
        kind = queries.device.type
        low = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if low else torch.float32
        q, c = queries.detach().to(dtype), candidates.detach().to(dtype)
        q_grad, c_grad = torch.empty_like(q), torch.zeros_like(c, dtype=torch.float32)
        total = offset.new_zeros((), dtype=torch.float64)
        # Blocks share their memory: asking for it anew each time costs more than computing.
        rows = min(len(q), _BLOCK)
        products, scores = q.new_empty(rows, len(c)), offset.new_empty(rows, len(c))
        for start in range(0, len(q), _BLOCK):
            part = slice(start, start + _BLOCK)
            at = positive[part].unsqueeze(1)
            product, logits = products[: len(at)], scores[: len(at)]  # [block, C]
            logits.copy_(torch.mm(q[part], c.T, out=product))
            mine = logits.gather(1, at) + own[part, None]
            logits.add_(offset).scatter_(1, at, mine)
            most = logits.amax(1, keepdim=True)
            shares = logits.sub_(most).exp_()  # one exponential a score, for loss and gradient
            whole = shares.sum(1, keepdim=True)
            total += (most + whole.log() - mine).sum().double()
            shares.div_(whole)
            shares.scatter_add_(1, at, torch.full_like(mine, -1.0))
            slope = product.copy_(shares)
            torch.mm(slope, c, out=q_grad[part])
            c_grad += slope.T @ q[part]
        ctx.save_for_backward(q_grad, c_grad)
        ctx.kinds = queries.dtype, candidates.dtype
        return (total / len(q)).float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q_grad, c_grad = ctx.saved_tensors
        scale = grads[0] / len(q_grad)
        q_kind, c_kind = ctx.kinds
        return (q_grad * scale).to(q_kind), (c_grad * scale).to(c_kind), None, None, None


def mixed_log_q(
    probability: Tensor, *, in_batch: int, uniform: int, catalogue: int, hard: Tensor | None = None
) -> Tensor:
    """Return log E[n_j] `[C]` of negatives drawn in several ways.

    Item j is expected B·p_j + M / N + h_j times: among B in-batch ones drawn by p, M uniform ones
    out of N items, and h_j hard ones. (Yang et al. 2020, mixed negative sampling.)

    Args:
        probability: `[C]`, p_j of each candidate: how often a row of the data holds it.
        in_batch: B, the other rows of the batch.
        uniform: M.
        catalogue: N.
        hard: `[C]`, how often each candidate is expected among the hard negatives of a batch.

    """
    expected = in_batch * probability + uniform / catalogue
    if hard is not None:
        expected = expected + hard
    return expected.clamp(min=1e-12).log()


@register_loss("sampled_softmax", kinds=("retrieval",))
def _sampled_softmax(step: RetrievalStep) -> Tensor:
    section, drawn = step.section, step.candidates()
    return sampled_softmax_loss(
        step.scaled_queries,
        drawn.vectors,
        drawn.positive,
        log_q=drawn.log_q,
        counts=drawn.counts,
        mask_accidental=section.mask_accidental,
        positives_drawn=section.negatives.in_batch,
    )


@register_loss("full_softmax", kinds=("retrieval",))
def _full_softmax(step: RetrievalStep) -> Tensor:
    return sampled_softmax_loss(step.scaled_queries, step.vectors(), step.positives)
