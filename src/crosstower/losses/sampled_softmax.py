"""Losses of retrieval models over candidates, computed without storing all scores.

Shapes: B queries, C candidates shared by all queries, D the width of their vectors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from crosstower.losses.registry import RetrievalStep, register_loss
from crosstower.losses.shared_softmax import shared_softmax_loss
from crosstower.losses.softmax_blocks import block_rows


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

    The sum over the catalogue is estimated by exp(s⁺) + Σ_j n_j·exp(s_j) / E[n_j], where n_j is the
    number of times item j was drawn as a negative (Bengio & Senécal 2008; logQ correction, Yi et
    al. 2019). Without the division, popular items, which are drawn more often, would get too low
    scores. The positive is not sampled, so its term is not divided.

    Each candidate appears once, with the number of its draws; one that was not drawn, such as
    another query's positive, has the count 0. With in-batch negatives one draw of a query's
    positive is the positive itself (`positives_drawn`); further draws are accidental hits.

    Gradients are computed block by block together with the loss, so no `[B, C]` tensor is kept.

    >>> import torch
    >>> queries, candidates = torch.zeros(2, 4), torch.ones(8, 4)
    >>> loss = sampled_softmax_loss(queries, candidates, torch.tensor([0, 5]))
    >>> round(float(loss), 4)  # log 8: all scores are equal
    2.0794

    Args:
        queries: `[B, D]`, already divided by the temperature.
        candidates: `[C, D]`, distinct items.
        positive: `[B]`, position of each query's positive among the candidates.
        log_q: `[C]`, log E[n_j], the expected number of draws of each candidate; 0 if None.
        counts: `[C]`, number of draws, 0 or more; 1 if None.
        mask_accidental: exclude accidental hits from the sum.
        positives_drawn: whether the counts include each query's positive once.

    Returns:
        A scalar in float32.

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
        # Blocks share their memory: allocating it for each block costs more than the products.
        rows = min(len(q), block_rows(len(c), q.device))
        products, scores = q.new_empty(rows, len(c)), offset.new_empty(rows, len(c))
        for start in range(0, len(q), rows):
            part = slice(start, start + rows)
            at = positive[part].unsqueeze(1)
            product, logits = products[: len(at)], scores[: len(at)]  # [block, C]
            logits.copy_(torch.mm(q[part], c.T, out=product))
            mine = logits.gather(1, at) + own[part, None]
            logits.add_(offset).scatter_(1, at, mine)
            most = logits.amax(1, keepdim=True)
            shares = logits.sub_(most).exp_()  # one exponential per score, for loss and gradient
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
    """Return log E[n_j] of mixed negative samples (Yang et al. 2020).

    Item j is expected B·p_j + M / N + h_j times: among B in-batch negatives with probability p_j, M
    uniform ones out of N items, and the hard ones.

    >>> import torch
    >>> mixed_log_q(torch.tensor([0.1, 0.0]), in_batch=10, uniform=5, catalogue=50).exp()
    tensor([1.1000, 0.1000])

    Args:
        probability: `[C]`, p_j, the probability that a row of the data has the candidate.
        in_batch: B, the number of other rows in the batch.
        uniform: M.
        catalogue: N, the number of items.
        hard: `[C]`, h_j, the expected number of draws among a batch's hard negatives; 0 if None.

    Returns:
        `[C]`.

    """
    expected = in_batch * probability + uniform / catalogue
    if hard is not None:
        expected = expected + hard
    return expected.clamp(min=1e-12).log()


@register_loss("sampled_softmax", kinds=("retrieval",), negatives="drawn")
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


@register_loss("full_softmax", kinds=("retrieval",), negatives="all")
def _full_softmax(step: RetrievalStep) -> Tensor:
    if step.owner is not None:
        # A list never shows the history, so the model need not learn to rank it last.
        left_out = step.history if step.section.exclude_seen else None
        return shared_softmax_loss(
            step.distinct_queries, step.vectors(), step.owner, step.positives, left_out
        )
    return sampled_softmax_loss(step.scaled_queries, step.vectors(), step.positives)
